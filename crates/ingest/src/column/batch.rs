//! Puts the decoded columns and our metadata columns together into a batch of the lake table's schema.
//!
//! The lake's schema rules: a column that the source no longer has is NULL, a column of the source that the lake
//! does not have is an error (the schema is evolved before reading begins).
//!
//! Two ways to fill our own columns. A full load's are the same in every row of a run: they are made once, and each
//! batch gets slices of them, which costs nothing a row. A change has its own position, time and kind: these come
//! with the batch, as [`RowColumns`].

use std::sync::Arc;

use arrow_array::builder::{
    ArrayBuilder as _, MapBuilder, MapFieldNames, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow_array::{
    Array, ArrayRef, MapArray, RecordBatch, RecordBatchOptions, StringArray,
    TimestampMicrosecondArray, new_null_array,
};
use arrow_schema::{ArrowError, DataType, SchemaRef};

use super::foreign::{Foreign, ForeignValues};
use super::metadata::{self, Op};

/// A value that did not fit its column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Odd {
    /// The row in the batch.
    pub row: usize,
    /// The index of the source column.
    pub column: usize,
    /// The exact text.
    pub text: String,
}

/// What is the same in every row of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunColumns {
    /// The position, as sortable text.
    pub position: String,
    /// Microseconds since 1970-01-01 UTC.
    pub extracted_at_microseconds: i64,
    /// The run.
    pub run_id: String,
}

/// What a row of change capture has for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowMeta<'a> {
    /// What happened to the row. A merged table does not keep it, but a [`Op::Delete`] sets `_ol_deleted_at` there.
    pub op: Option<Op>,
    /// The position, as sortable text.
    pub position: &'a str,
    /// When the change was committed, in microseconds since 1970-01-01 UTC; `None` where it is not known.
    pub committed_at_microseconds: Option<i64>,
}

/// For each row of a batch, the indexes in the lake's schema of the columns whose value is not known.
pub type Unknown = Vec<Box<[usize]>>;

/// Gathers the [`RowMeta`] of the rows of a batch.
#[derive(Debug)]
pub struct RowColumns {
    op: StringBuilder,
    position: StringBuilder,
    committed_at: TimestampMicrosecondBuilder,
    deleted_at: TimestampMicrosecondBuilder,
}

/// The zone of instants in the lake.
const UTC: &str = "+00:00";

impl Default for RowColumns {
    fn default() -> Self {
        let instants = || TimestampMicrosecondBuilder::new().with_timezone(UTC);
        Self {
            op: StringBuilder::new(),
            position: StringBuilder::new(),
            committed_at: instants(),
            deleted_at: instants(),
        }
    }
}

impl RowColumns {
    /// Adds a row's.
    pub fn push(&mut self, row: RowMeta<'_>) {
        self.op.append_option(row.op.map(Op::letter));
        self.position.append_value(row.position);
        self.committed_at.append_option(row.committed_at_microseconds);
        let deleted = row.op == Some(Op::Delete);
        self.deleted_at.append_option(row.committed_at_microseconds.filter(|_| deleted));
    }

    /// How many rows were added.
    #[must_use]
    pub fn len(&self) -> usize {
        self.position.len()
    }

    /// Whether none were added.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn finish(&mut self) -> Varying {
        Varying {
            op: Arc::new(self.op.finish()),
            position: Arc::new(self.position.finish()),
            committed_at: Arc::new(self.committed_at.finish()),
            deleted_at: Arc::new(self.deleted_at.finish()),
        }
    }
}

struct Varying {
    op: ArrayRef,
    position: ArrayRef,
    committed_at: ArrayRef,
    deleted_at: ArrayRef,
}

/// Where the values of a lake column come from.
#[derive(Debug, Clone, Copy)]
enum Origin {
    Source(usize),
    Op,
    CommittedAt,
    DeletedAt,
    Position,
    ExtractedAt,
    RunId,
    Odd,
    Foreign(Foreign),
    Nothing,
}

/// When a batch is full.
#[derive(Debug, Clone, Copy)]
pub struct BatchLimit {
    /// Rows.
    pub rows: usize,
    /// Bytes as they arrived.
    pub bytes: usize,
}

/// Assembles batches of one table.
#[derive(Debug, Clone)]
pub struct Assembler {
    schema: SchemaRef,
    names: Arc<[String]>,
    origins: Vec<Origin>,
    run: RunColumns,
    /// Constant columns of the longest batch so far; shorter ones are slices of them.
    constants: Option<Constants>,
    foreign: ForeignValues,
}

#[derive(Debug, Clone)]
struct Constants {
    op: ArrayRef,
    position: ArrayRef,
    extracted_at: ArrayRef,
    run_id: ArrayRef,
}

impl Assembler {
    /// An assembler of batches with `schema` from source columns called `names`, in the order they are decoded.
    ///
    /// # Errors
    /// A source column that the lake table does not have.
    pub fn new(schema: SchemaRef, names: Vec<String>, run: RunColumns) -> Result<Self, ArrowError> {
        if let Some(name) = names.iter().find(|name| schema.column_with_name(name).is_none()) {
            return Err(ArrowError::SchemaError(format!("the lake table has no column {name}")));
        }
        let origins = schema
            .fields()
            .iter()
            .map(|field| match field.name().as_str() {
                metadata::OP => Origin::Op,
                metadata::POSITION => Origin::Position,
                metadata::COMMITTED_AT => Origin::CommittedAt,
                metadata::DELETED_AT => Origin::DeletedAt,
                metadata::EXTRACTED_AT => Origin::ExtractedAt,
                metadata::RUN_ID => Origin::RunId,
                metadata::ODD => Origin::Odd,
                name => match names.iter().position(|known| known == name) {
                    Some(index) => Origin::Source(index),
                    None => Foreign::named(name).map_or(Origin::Nothing, Origin::Foreign),
                },
            })
            .collect();
        let foreign = ForeignValues::new(run.extracted_at_microseconds);
        Ok(Self { schema, names: names.into(), origins, run, constants: None, foreign })
    }

    /// The Arrow type of a lake column.
    #[must_use]
    pub fn column_type(&self, name: &str) -> Option<&DataType> {
        self.schema.column_with_name(name).map(|(_, field)| field.data_type())
    }

    /// The name of a source column.
    #[must_use]
    pub fn name(&self, column: usize) -> &str {
        self.names.get(column).map_or("", String::as_str)
    }

    /// The schema of the batches.
    #[must_use]
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// A batch of `rows` rows from the decoded `columns`, all of them copied in this run: `_ol_op` is `r`, and
    /// when they were committed is not known.
    ///
    /// # Errors
    /// An array is not of the column's type.
    pub fn assemble(
        &mut self,
        rows: usize,
        columns: Vec<ArrayRef>,
        odd: &[Odd],
    ) -> Result<RecordBatch, ArrowError> {
        self.batch(rows, columns, odd, None)
    }

    /// A batch of changes from the decoded `columns` and what each row has for itself, which is taken: `own` is
    /// empty afterwards.
    ///
    /// # Errors
    /// An array is not of the column's type, or not as long as `own`.
    pub fn assemble_changes(
        &mut self,
        columns: Vec<ArrayRef>,
        odd: &[Odd],
        own: &mut RowColumns,
    ) -> Result<RecordBatch, ArrowError> {
        let rows = own.len();
        let varying = own.finish();
        self.batch(rows, columns, odd, Some(&varying))
    }

    fn batch(
        &mut self,
        rows: usize,
        columns: Vec<ArrayRef>,
        odd: &[Odd],
        varying: Option<&Varying>,
    ) -> Result<RecordBatch, ArrowError> {
        if self.constants.as_ref().is_none_or(|constants| constants.position.len() < rows) {
            self.constants = Some(self.constants(rows));
        }
        let constants = self.constants.as_ref().expect("set above");
        let is_foreign = |origin: &Origin| matches!(origin, Origin::Foreign(_));
        let foreign = self
            .origins
            .iter()
            .any(is_foreign)
            .then(|| self.foreign.batch(rows, varying.map(|varying| &varying.position)));
        let mut arrays = Vec::with_capacity(self.origins.len());
        for (origin, field) in self.origins.iter().zip(self.schema.fields()) {
            arrays.push(match (origin, varying) {
                (Origin::Source(index), _) => columns.get(*index).cloned().ok_or_else(|| {
                    ArrowError::SchemaError(format!("column {} is missing", field.name()))
                })?,
                (Origin::Op, Some(varying)) => varying.op.clone(),
                (Origin::Op, None) => constants.op.slice(0, rows),
                (Origin::Position, Some(varying)) => varying.position.clone(),
                (Origin::Position, None) => constants.position.slice(0, rows),
                (Origin::CommittedAt, Some(varying)) => varying.committed_at.clone(),
                (Origin::DeletedAt, Some(varying)) => varying.deleted_at.clone(),
                (Origin::ExtractedAt, _) => constants.extracted_at.slice(0, rows),
                (Origin::RunId, _) => constants.run_id.slice(0, rows),
                (Origin::Odd, _) if !odd.is_empty() => {
                    Arc::new(self.odd_column(rows, odd, field.data_type())?)
                }
                (Origin::Foreign(column), _) => match &foreign {
                    Some(foreign) => foreign.column(*column, field.data_type())?,
                    None => new_null_array(field.data_type(), rows),
                },
                (Origin::CommittedAt | Origin::DeletedAt, None)
                | (Origin::Odd | Origin::Nothing, _) => new_null_array(field.data_type(), rows),
            });
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(self.schema.clone(), arrays, &options)
    }

    fn constants(&self, rows: usize) -> Constants {
        let repeat = |text: &str| -> ArrayRef {
            Arc::new(StringArray::from_iter_values(std::iter::repeat_n(text, rows)))
        };
        let instants =
            TimestampMicrosecondArray::from_value(self.run.extracted_at_microseconds, rows);
        Constants {
            op: repeat(Op::Read.letter()),
            position: repeat(&self.run.position),
            extracted_at: Arc::new(instants.with_timezone(UTC)),
            run_id: repeat(&self.run.run_id),
        }
    }

    /// The map column: an entry for each value of a row that did not fit, NULL for a row without any.
    fn odd_column(
        &self,
        rows: usize,
        odd: &[Odd],
        data_type: &DataType,
    ) -> Result<MapArray, ArrowError> {
        let DataType::Map(entries, _) = data_type else {
            return Err(ArrowError::SchemaError(format!("{} is not a map", metadata::ODD)));
        };
        let DataType::Struct(fields) = entries.data_type() else {
            return Err(ArrowError::SchemaError(format!("{} has no entries", metadata::ODD)));
        };
        let [key, value] = fields.as_ref() else {
            return Err(ArrowError::SchemaError(format!("{} has no key and value", metadata::ODD)));
        };
        let names = MapFieldNames {
            entry: entries.name().clone(),
            key: key.name().clone(),
            value: value.name().clone(),
        };
        let mut builder = MapBuilder::new(Some(names), StringBuilder::new(), StringBuilder::new())
            .with_keys_field(key.clone())
            .with_values_field(value.clone());
        let mut left = odd.iter().peekable();
        for row in 0..rows {
            let mut any = false;
            while let Some(entry) = left.next_if(|entry| entry.row == row) {
                builder.keys().append_value(self.name(entry.column));
                builder.values().append_value(&entry.text);
                any = true;
            }
            builder.append(any)?;
        }
        let array = builder.finish();
        // The entries field carries the lake's metadata, which the builder does not know.
        let (_, offsets, entries_array, nulls, ordered) = array.into_parts();
        MapArray::try_new(entries.clone(), offsets, entries_array, nulls, ordered)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use arrow_array::Int32Array;
    use arrow_array::cast::AsArray as _;
    use arrow_array::types::TimestampMicrosecondType;
    use ol_lake::schema::{LakeColumn, LakeType};

    use super::*;

    fn assembler(mut metadata: Vec<LakeColumn>) -> Assembler {
        let id = LakeColumn {
            name: "id".to_owned(),
            lake_type: LakeType::Int,
            required: false,
            doc: None,
            was: None,
        };
        metadata.insert(0, id);
        let schema = crate::column::testing::arrow_schema(&metadata);
        let run = RunColumns {
            position: "0000000000000001".to_owned(),
            extracted_at_microseconds: 5,
            run_id: "run".to_owned(),
        };
        Assembler::new(schema, vec!["id".to_owned()], run).unwrap()
    }

    fn ids(values: &[i32]) -> Vec<ArrayRef> {
        vec![Arc::new(Int32Array::from(values.to_vec()))]
    }

    fn change(op: Op, position: &str) -> RowMeta<'_> {
        RowMeta { op: Some(op), position, committed_at_microseconds: Some(9) }
    }

    #[test]
    fn copied_rows_of_a_log_are_marked_read_and_have_no_commit_time() {
        let mut assembler = assembler(metadata::log());
        for rows in [3, 2] {
            let batch = assembler.assemble(rows, ids(&vec![1; rows]), &[]).unwrap();
            let ops = batch.column_by_name(metadata::OP).unwrap().as_string::<i32>();
            assert!(ops.iter().all(|op| op == Some("r")));
            let committed = batch.column_by_name(metadata::COMMITTED_AT).unwrap();
            assert_eq!(committed.null_count(), rows);
        }
    }

    #[test]
    fn changes_have_their_own_position_time_and_kind_and_the_runs_id() {
        let mut assembler = assembler(metadata::log());
        let mut own = RowColumns::default();
        own.push(change(Op::Insert, "a"));
        own.push(RowMeta { op: Some(Op::Update), position: "b", committed_at_microseconds: None });
        let batch = assembler.assemble_changes(ids(&[1, 2]), &[], &mut own).unwrap();
        assert!(own.is_empty());
        let text = |name: &str, row: usize| {
            batch.column_by_name(name).unwrap().as_string::<i32>().value(row).to_owned()
        };
        assert_eq!((text(metadata::OP, 0), text(metadata::OP, 1)), ("i".into(), "u".into()));
        assert_eq!(
            (text(metadata::POSITION, 0), text(metadata::POSITION, 1)),
            ("a".into(), "b".into())
        );
        assert_eq!(text(metadata::RUN_ID, 1), "run");
        let committed = batch.column_by_name(metadata::COMMITTED_AT).unwrap();
        let committed = committed.as_primitive::<TimestampMicrosecondType>();
        assert_eq!((committed.value(0), committed.is_null(1)), (9, true));
    }

    #[test]
    fn only_a_delete_sets_the_mark_of_a_soft_delete() {
        let mut assembler = assembler(metadata::merge(true));
        let mut own = RowColumns::default();
        for op in [Op::Insert, Op::Delete, Op::Update] {
            own.push(change(op, "a"));
        }
        let batch = assembler.assemble_changes(ids(&[1, 2, 3]), &[], &mut own).unwrap();
        let deleted = batch.column_by_name(metadata::DELETED_AT).unwrap();
        let deleted = deleted.as_primitive::<TimestampMicrosecondType>();
        let marks: Vec<_> = deleted.iter().collect();
        assert_eq!(marks, [None, Some(9), None]);
    }

    #[test]
    fn a_column_shorter_than_the_rows_is_refused() {
        let mut assembler = assembler(metadata::log());
        let mut own = RowColumns::default();
        own.push(change(Op::Insert, "a"));
        assert!(assembler.assemble_changes(ids(&[1, 2]), &[], &mut own).is_err());
    }
}
