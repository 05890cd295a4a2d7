//! One table, row by row: hashes of key, row and values; how new a row is; whether it is gone.

use std::sync::Arc;

use arrow_array::cast::AsArray as _;
use arrow_array::{Array as _, ArrayRef, RecordBatch};
use arrow_row::{RowConverter, Rows, SortField};
use arrow_schema::ArrowError;
use futures::TryStreamExt as _;
use ol_lake::{Lake, LakeTable};

use super::canonical::{Form, unread};
use super::pairing::Pairing;
use super::spill::Standing;
use crate::column::digest::{of_rows, of_values};
use crate::column::metadata::{self, Op};
use crate::error::{Definite, Error, Result};

/// When another loader read a row, the first that a table has; and what tells rows of one moment apart.
const ORDERS: [&[&str]; 3] = [
    &[metadata::POSITION],
    &["_airbyte_extracted_at", "_ab_cdc_lsn", "_ab_cdc_updated_at"],
    &["_dlt_load_id"],
];
/// Columns that say, by having a value, that the row was deleted at the source.
const DELETED: [&str; 2] = [metadata::DELETED_AT, "_ab_cdc_deleted_at"];

/// Which of the two tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// The one of `ol-ingest`.
    Ours,
    /// The other one.
    Theirs,
}

/// One table, to be read in the common form.
pub struct Side<'a> {
    lake: &'a Arc<Lake>,
    /// The table.
    pub table: &'a LakeTable,
    whose: Whose,
    pairing: &'a Pairing,
    order: Vec<String>,
    deleted: Option<&'static str>,
    has_op: bool,
    has_odd: bool,
}

/// A batch of a side.
pub struct Seen<'a> {
    /// The columns of the pairs, as they were read.
    pub values: Vec<&'a ArrayRef>,
    /// The hash of each row's key; of the whole row where a row is its own.
    pub keys: Vec<u128>,
    /// The hash of each row.
    pub rows: Vec<u128>,
    /// The hash of each value, by pair.
    pub columns: Vec<Vec<u128>>,
    order: Option<Rows>,
    deleted: Option<&'a ArrayRef>,
    op: Option<&'a ArrayRef>,
}

impl Seen<'_> {
    /// What a row says of its key; `None` for one that is about the whole table.
    #[must_use]
    pub fn standing(&self, row: usize) -> Option<Standing> {
        let letter = self.op.map(|op| op.as_string::<i32>().value(row));
        let is_marked = self.deleted.is_some_and(|deleted| deleted.is_valid(row));
        match letter {
            Some(letter) if letter == Op::Truncate.letter() => None,
            Some(letter) if letter == Op::Delete.letter() => Some(Standing::Gone),
            _ if is_marked => Some(Standing::Gone),
            _ => Some(Standing::There),
        }
    }

    /// Bytes that sort as rows of one key came to be.
    #[must_use]
    pub fn order(&self, row: usize) -> Vec<u8> {
        self.order.as_ref().map(|order| order.row(row).as_ref().to_vec()).unwrap_or_default()
    }
}

impl<'a> Side<'a> {
    /// One of two tables whose columns are paired.
    #[must_use]
    pub fn new(
        lake: &'a Arc<Lake>,
        table: &'a LakeTable,
        whose: Whose,
        pairing: &'a Pairing,
    ) -> Self {
        let has = |name: &str| table.schema().column(name).is_some();
        let of_loader = ORDERS.iter().find(|names| names.first().is_some_and(|name| has(name)));
        let mut order: Vec<String> = of_loader
            .into_iter()
            .flat_map(|names| names.iter())
            .filter(|name| has(name))
            .map(|name| (*name).to_owned())
            .collect();
        if let Some(pair) = pairing.cursor.and_then(|place| pairing.pairs.get(place)) {
            order.push(if whose == Whose::Ours { &pair.ours } else { &pair.theirs }.clone());
        }
        Self {
            lake,
            table,
            whose,
            pairing,
            order,
            deleted: DELETED.into_iter().find(|name| has(name)),
            has_op: has(metadata::OP),
            has_odd: has(metadata::ODD),
        }
    }

    /// Whether rows of one key follow each other in it.
    #[must_use]
    pub fn is_log(&self) -> bool {
        self.has_op
    }

    /// Rows that it holds, of whatever standing.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.table.current_snapshot().map_or(0, |snapshot| snapshot.records)
    }

    fn names(&self) -> Vec<&str> {
        let pairs = self.pairing.pairs.iter();
        pairs
            .map(|pair| if self.whose == Whose::Ours { &pair.ours } else { &pair.theirs }.as_str())
            .collect()
    }

    /// Reads the table as it was loaded.
    ///
    /// # Errors
    /// The lake's, and those of `take`.
    pub async fn each(&self, mut take: impl FnMut(&Seen<'_>) -> Result<()>) -> Result<()> {
        let mut columns = self.names();
        let marks = self.deleted.into_iter().chain(self.has_op.then_some(metadata::OP));
        let marks = marks.chain(self.has_odd.then_some(metadata::ODD));
        for name in self.order.iter().map(String::as_str).chain(marks) {
            if !columns.contains(&name) {
                columns.push(name);
            }
        }
        // Rows are counted also where no column is compared.
        let mut batches = self.lake.scan(self.table, Some(&columns)).await?;
        while let Some(batch) = batches.try_next().await? {
            let seen = self.seen(&batch).map_err(|error| {
                Error::new(Definite::Defect).with("table", self.table.name()).because(error)
            })?;
            take(&seen)?;
        }
        Ok(())
    }

    fn seen<'b>(&self, batch: &'b RecordBatch) -> Result<Seen<'b>, ArrowError> {
        let column = |name: &str| {
            let missing = || ArrowError::SchemaError(format!("there is no column {name}"));
            batch.column_by_name(name).ok_or_else(missing)
        };
        let values = self.names().into_iter().map(column).collect::<Result<Vec<_>, _>>()?;
        let forms = self.pairing.pairs.iter().map(|pair| pair.form);
        let columns = values.iter().zip(forms).map(|(value, form)| of_values(&form.texts(value)?));
        let mut columns = columns.collect::<Result<Vec<_>, ArrowError>>()?;
        if self.has_odd {
            self.put_odd(column(metadata::ODD)?, &mut columns)?;
        }
        let rows = of_rows(&columns.iter().collect::<Vec<_>>(), batch.num_rows());
        let key: Vec<_> = self.pairing.key.iter().filter_map(|place| columns.get(*place)).collect();
        let keys = if key.is_empty() { rows.clone() } else { of_rows(&key, batch.num_rows()) };
        let order = self.order.iter().map(|name| column(name).cloned());
        let order = order.collect::<Result<Vec<_>, _>>()?;
        Ok(Seen {
            values,
            keys,
            rows,
            columns,
            order: if order.is_empty() { None } else { Some(sortable(&order)?) },
            deleted: self.deleted.map(column).transpose()?,
            op: self.has_op.then(|| column(metadata::OP)).transpose()?,
        })
    }

    /// A value that its column cannot hold is what its text says.
    fn put_odd(&self, odd: &ArrayRef, columns: &mut [Vec<u128>]) -> Result<(), ArrowError> {
        let odd = odd.as_map();
        for row in (0..odd.len()).filter(|row| odd.is_valid(*row)) {
            let entries = odd.value(row);
            let (names, texts) = (entries.column(0).as_string::<i32>(), entries.column(1));
            for (name, text) in names.iter().zip(texts.as_string::<i32>()) {
                let place = self.pairing.pairs.iter().position(|pair| Some(&*pair.ours) == name);
                let (Some(place), Some(text)) = (place, text) else { continue };
                let form = self.pairing.pairs.get(place).map_or(Form::Same, |pair| pair.form);
                let text = if form == Form::Same { unread(text) } else { form.read(text) };
                let one: ArrayRef = Arc::new(arrow_array::StringArray::from(vec![text]));
                let hash = of_values(&one)?.first().copied().unwrap_or_default();
                if let Some(value) = columns.get_mut(place).and_then(|it| it.get_mut(row)) {
                    *value = hash;
                }
            }
        }
        Ok(())
    }
}

/// Rows whose bytes sort as the columns do, what is not known first.
fn sortable(columns: &[ArrayRef]) -> Result<Rows, ArrowError> {
    let fields = columns.iter().map(|column| SortField::new(column.data_type().clone()));
    RowConverter::new(fields.collect())?.convert_columns(columns)
}
