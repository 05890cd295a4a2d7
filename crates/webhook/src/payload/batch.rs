//! `learning_resources`: the catalogue records of one source, in parts that MIT Learn can read.
//!
//! Today's sender posts the whole table in one request, which is refused beyond 2.5 MiB. Here it is split, and a marker
//! behind the parts says which batch was complete, so that the receiver can tell what is gone. The marker is part of
//! this contract only: MIT Learn has no such route yet.

use std::collections::BTreeSet;

use super::build::{Draft, MAXIMUM_BODY_BYTES, Payload, digest};
use super::json::Value;
use super::kind::Kind;
use super::problem::{Problem, Problems, Severity};
use super::vocabulary::ETL_SOURCES;
use super::{feed, learning_resource, python};

/// The bytes around the resources of a part.
const FRAME_BYTES: usize = r#"{"resources":[]}"#.len();

/// The object and the list around the resources of a part, which count as nesting.
const FRAME_LEVELS: usize = 2;

/// How large a part may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkLimit {
    /// Resources in a part, at least 1.
    pub count: usize,
    /// Bytes of the body of a part, at most the limit of MIT Learn.
    pub bytes: usize,
}

impl Default for ChunkLimit {
    /// 500 resources and 2 MiB, well below the 2.5 MiB that MIT Learn reads.
    fn default() -> Self {
        Self { count: 500, bytes: 2 * 1024 * 1024 }
    }
}

/// The records of one source at one time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Lower-case hexadecimal SHA-256 of the source and all records in their order.
    pub batch_id: String,
    /// Bodies of the form `{"resources":[…]}`, in the order in which they are sent. At least one.
    pub parts: Vec<Payload>,
    /// `{"prune":{"etl_source":…,"batch_id":…,"batch_total":…}}`, to be sent only when every part was accepted. `None`
    /// for a source of which a complete batch is not the whole; a warning says why.
    pub prune: Option<Payload>,
    /// What a person should know about the batch as a whole; what is about a record stands with its part.
    pub warnings: Vec<Problem>,
}

/// Checks and splits the records of one source. They keep their order.
///
/// # Errors
/// Every problem of every record and of the batch, when at least one is a refusal. An empty list is one: an empty
/// source looks exactly like a source that lost everything.
pub fn build_batch(
    etl_source: &str,
    resources: Vec<Value>,
    limit: ChunkLimit,
) -> Result<Batch, Vec<Problem>> {
    let mut problems = Problems::default();
    let source = ETL_SOURCES.into_iter().find(|source| *source == etl_source);
    if source.is_none() {
        problems.refuse("etl_source", format!("Must be one of {}", ETL_SOURCES.join(", ")));
    }
    if limit.count == 0 || !(FRAME_BYTES..=MAXIMUM_BODY_BYTES).contains(&limit.bytes) {
        problems
            .refuse("limit", "Must allow at least 1 resource and 16 to 2621440 bytes in a part");
    }
    if resources.is_empty() {
        problems.refuse(
            "resources",
            "Must not be empty: an empty source looks like one that lost everything",
        );
    }
    let records = records(etl_source, resources, limit, &mut problems);
    let values: Vec<Value> = records.iter().map(|record| record.value.clone()).collect();
    feed::check(etl_source, &values, &mut problems);
    let withheld = feed::prune_withheld(etl_source);
    if let Some(reason) = withheld {
        problems.warn("prune", reason);
    }
    let is_refused = |record: &Record| {
        record.problems.iter().any(|problem| problem.severity == Severity::Refusal)
    };
    if records.iter().any(is_refused) {
        let of_the_batch = problems.verdict().unwrap_or_else(|all| all);
        let of_records = records.into_iter().flat_map(|record| record.problems);
        return Err(of_records.chain(of_the_batch).collect());
    }
    let warnings = problems.verdict()?;
    let Some(source) = source else { return Err(warnings) };

    let all = python::encode(&Value::Array(values));
    let batch_id = digest(&[Kind::LearningResources.word().as_bytes(), source.as_bytes(), &all]);
    let parts = split(records, limit)
        .into_iter()
        .map(|part| seal_part(source, part))
        .collect::<Result<Vec<_>, _>>()?;
    let prune = match withheld {
        Some(_) => None,
        None => Some(marker(source, &batch_id, parts.len())?),
    };
    Ok(Batch { batch_id, parts, prune, warnings })
}

/// One part from a list of resources, or from an object with it, for the builder of single payloads.
pub(super) fn single(input: Value, configured: Option<&str>) -> Result<Payload, Vec<Problem>> {
    let resources = match input {
        Value::Array(resources) => Some(resources),
        Value::Object(mut pairs) => match (pairs.pop(), pairs.is_empty()) {
            (Some((name, Value::Array(resources))), true) if name == "resources" => Some(resources),
            _ => None,
        },
        Value::Null | Value::Bool(_) | Value::Integer(_) | Value::Float(_) | Value::String(_) => {
            None
        }
    };
    let Some(resources) = resources else {
        return Err(Problems::only(
            "payload",
            "Must be a list of resources, or an object with nothing but resources",
        ));
    };
    let first = resources.first().and_then(|resource| resource.get("etl_source"));
    let source = configured.or(first.and_then(Value::as_str)).unwrap_or_default().to_owned();
    let batch = build_batch(&source, resources, ChunkLimit::default())?;
    let mut parts = batch.parts.into_iter();
    match (parts.next(), parts.next()) {
        (Some(mut part), None) => {
            part.warnings.extend(batch.warnings);
            Ok(part)
        }
        _ => {
            Err(Problems::only("resources", "Must fit in one part; a batch is split into several"))
        }
    }
}

/// A checked record with the bytes it takes in a body.
struct Record {
    value: Value,
    bytes: usize,
    problems: Vec<Problem>,
}

fn records(
    etl_source: &str,
    resources: Vec<Value>,
    limit: ChunkLimit,
    problems: &mut Problems,
) -> Vec<Record> {
    let mut seen = BTreeSet::new();
    let mut records = Vec::with_capacity(resources.len());
    for (index, resource) in resources.into_iter().enumerate() {
        let place = format!("resources[{index}]");
        if let Some((inner, promise)) = resource.broken_below(FRAME_LEVELS) {
            problems.refuse(&format!("{place}{inner}"), promise);
            continue;
        }
        let mut own = Problems::default();
        let Some(value) = learning_resource::check(index, etl_source, resource, &mut own) else {
            problems.append(own.verdict().unwrap_or_else(|all| all));
            continue;
        };
        let text = |field| value.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
        if !seen.insert((text("resource_type"), text("platform"), text("readable_id"))) {
            own.refuse(
                &format!("{place}.readable_id"),
                "Must not be in a batch twice: the later record overwrites the earlier",
            );
        }
        let bytes = python::encode(&value).len();
        if bytes.saturating_add(FRAME_BYTES) > limit.bytes {
            own.refuse(&place, "Must fit in a part by itself");
        }
        records.push(Record { value, bytes, problems: own.verdict().unwrap_or_else(|all| all) });
    }
    records
}

/// Fills each part as far as the limit allows, in the order of the records.
fn split(records: Vec<Record>, limit: ChunkLimit) -> Vec<Vec<Record>> {
    let mut parts: Vec<Vec<Record>> = Vec::new();
    let mut bytes = 0;
    for record in records {
        let with_comma = record.bytes + 1;
        match parts.last_mut() {
            Some(part) if part.len() < limit.count && bytes + with_comma <= limit.bytes => {
                bytes += with_comma;
                part.push(record);
            }
            _ => {
                bytes = FRAME_BYTES + record.bytes;
                parts.push(vec![record]);
            }
        }
    }
    parts
}

fn seal_part(source: &'static str, part: Vec<Record>) -> Result<Payload, Vec<Problem>> {
    let mut problems = Problems::default();
    let mut values = Vec::with_capacity(part.len());
    for record in part {
        values.push(record.value);
        problems.append(record.problems);
    }
    let body = Value::object([("resources", Value::Array(values))]);
    draft(source, body, problems).seal()
}

fn marker(source: &'static str, batch_id: &str, total: usize) -> Result<Payload, Vec<Problem>> {
    let total = u64::try_from(total).unwrap_or(u64::MAX);
    let fields = [
        ("etl_source", Value::from(source)),
        ("batch_id", Value::from(batch_id)),
        ("batch_total", Value::from(total)),
    ];
    draft(source, Value::object([("prune", Value::object(fields))]), Problems::default()).seal()
}

fn draft(source: &'static str, body: Value, problems: Problems) -> Draft {
    let kind = Kind::LearningResources;
    Draft { kind, source, identity: source.to_owned(), body, volatile: &[], problems }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::super::parser::{MAXIMUM_DEPTH, parse};
    use super::*;

    fn course(number: usize, description: &str) -> Value {
        let text = format!(
            r#"{{"readable_id":"MITx+{number}","title":"T","description":"{description}","topics":[],"published":true,"etl_source":"oll","offered_by":{{"code":"mitx"}},"platform":"oll","resource_type":"course","runs":[{{"run_id":"MITx+{number}+1T","start_date":null}}],"duration":"4 weeks"}}"#
        );
        parse(text.as_bytes()).unwrap()
    }

    /// The records in the bodies of the parts, in order.
    fn joined(batch: &Batch) -> Vec<Value> {
        let lists = batch.parts.iter().map(|part| {
            let body = parse(&part.body).unwrap();
            assert_eq!(body.as_object().unwrap().len(), 1);
            body.get("resources").unwrap().as_array().unwrap().to_vec()
        });
        lists.flatten().collect()
    }

    #[test]
    fn a_record_is_nested_no_deeper_than_its_body_may_be() {
        let batch = |levels: usize| {
            let text = format!(r#"{}{{"a":1}}{}"#, "[".repeat(levels), "]".repeat(levels));
            let Value::Object(mut pairs) = course(1, "D") else { panic!("an object") };
            pairs.push(("image".to_owned(), parse(text.as_bytes()).unwrap()));
            build_batch("oll", vec![Value::Object(pairs)], ChunkLimit::default())
        };
        // The body, the list, the record, and the object inside all the lists.
        assert_eq!(joined(&batch(MAXIMUM_DEPTH - 4).unwrap()).len(), 1);
        let problems = batch(MAXIMUM_DEPTH - 3).unwrap_err();
        let problem = problems.first().unwrap();
        assert!(problem.field.starts_with("resources[0].image[0][0]"), "{problem}");
    }

    #[test]
    fn three_mebibytes_become_two_parts() {
        let description = "é".repeat(1000); // 6000 bytes in a body.
        let resources: Vec<Value> = (0..520).map(|number| course(number, &description)).collect();
        let limit = ChunkLimit::default();
        let batch = build_batch("oll", resources.clone(), limit).unwrap();
        let sizes: Vec<usize> = batch.parts.iter().map(|part| part.body.len()).collect();
        assert!(sizes.iter().sum::<usize>() > 3 * 1024 * 1024, "{sizes:?}");
        assert_eq!(sizes.len(), 2, "{sizes:?}");
        assert!(sizes.iter().all(|size| *size <= limit.bytes), "{sizes:?}");
        let one_more = sizes.first().unwrap() + 6300;
        assert!(one_more > limit.bytes, "the first part is as full as it can be: {sizes:?}");
        assert_eq!(joined(&batch), resources);
        assert_eq!(batch.warnings, []);
    }

    #[test]
    fn parts_by_count_and_the_marker_behind_them() {
        let resources: Vec<Value> = (0..7).map(|number| course(number, "")).collect();
        let limit = ChunkLimit { count: 3, ..ChunkLimit::default() };
        let batch = build_batch("oll", resources.clone(), limit).unwrap();
        assert_eq!(batch.parts.len(), 3);
        assert_eq!(joined(&batch), resources);
        let prune = batch.prune.unwrap();
        let expected = format!(
            r#"{{"prune":{{"etl_source":"oll","batch_id":"{}","batch_total":3}}}}"#,
            batch.batch_id
        );
        assert_eq!(String::from_utf8(prune.body).unwrap(), expected);
        for part in &batch.parts {
            assert_eq!(
                (part.entity.as_str(), part.scope.as_str()),
                ("learning_resources/oll", "learning_resources/oll")
            );
            assert!(!part.is_tombstone);
        }
    }

    #[test]
    fn every_byte_of_the_limit_is_used() {
        let sizes: Vec<usize> =
            (0..4).map(|number| python::encode(&course(number, "")).len()).collect();
        let bytes = FRAME_BYTES + sizes.iter().sum::<usize>() + 3;
        let parts = |bytes| {
            let resources = (0..4).map(|number| course(number, "")).collect();
            build_batch("oll", resources, ChunkLimit { count: 500, bytes }).unwrap().parts
        };
        let whole = parts(bytes);
        assert_eq!(whole.len(), 1);
        assert_eq!(whole.first().unwrap().body.len(), bytes);
        assert_eq!(parts(bytes - 1).len(), 2);
    }

    #[test]
    fn the_batch_id_follows_the_content_and_not_the_limits() {
        let id = |count, title: &str| {
            let resources = (0..3).map(|number| course(number, title)).collect();
            let limit = ChunkLimit { count, ..ChunkLimit::default() };
            build_batch("oll", resources, limit).unwrap().batch_id
        };
        assert_eq!(id(1, "a"), id(3, "a"));
        assert_ne!(id(1, "a"), id(1, "b"));
    }

    #[test]
    fn what_a_batch_is_refused_for() {
        let refused = |source: &str, resources: Vec<Value>, limit: ChunkLimit| {
            let problems = build_batch(source, resources, limit).unwrap_err();
            let refusals =
                problems.into_iter().filter(|problem| problem.severity == Severity::Refusal);
            refusals.map(|problem| problem.field).collect::<Vec<_>>()
        };
        let limit = ChunkLimit::default();
        assert_eq!(refused("oll", Vec::new(), limit), ["resources"]);
        assert_eq!(
            refused("oll", vec![course(1, ""), course(1, "")], limit),
            ["resources[1].readable_id"]
        );
        assert_eq!(
            refused("oll", vec![Value::Null, Value::Float(f64::NAN)], limit),
            ["resources[0]", "resources[1]"]
        );
        assert_eq!(
            refused("edxorg", vec![course(1, "")], limit),
            ["resources[0].etl_source", "etl_source"]
        );
        let tiny = ChunkLimit { count: 500, bytes: 100 };
        assert_eq!(refused("oll", vec![course(1, "")], tiny), ["resources[0]"]);
        for limit in [
            ChunkLimit { count: 0, ..limit },
            ChunkLimit { bytes: MAXIMUM_BODY_BYTES + 1, ..limit },
        ] {
            assert_eq!(refused("oll", vec![course(1, "")], limit), ["limit"]);
        }
    }

    #[test]
    fn programs_of_edx_org_do_not_prune_its_courses() {
        let text = r#"{"readable_id":"2f9b3a54-0c1d-4e8f-9a7b-6c5d4e3f2a1b","title":"T","published":true,"etl_source":"mit_edx","platform":"edx","resource_type":"program","runs":[{"run_id":"r","start_date":null}],"courses":[]}"#;
        let batch =
            build_batch("mit_edx", vec![parse(text.as_bytes()).unwrap()], ChunkLimit::default())
                .unwrap();
        assert_eq!(batch.prune, None);
        assert!(batch.warnings.iter().any(|problem| problem.field == "prune"));
    }

    #[test]
    fn a_single_part_from_a_list_or_an_object() {
        let body = |input: Value, source| single(input, source).map(|part| part.body);
        let list = Value::Array(vec![course(1, "")]);
        let object = Value::object([("resources", list.clone())]);
        let expected = python::encode(&object);
        assert_eq!(body(object.clone(), None).unwrap(), expected);
        assert_eq!(body(list, Some("oll")).unwrap(), expected);
        assert!(body(object, Some("ocw")).is_err());
        let many = (0..501).map(|number| course(number, "")).collect();
        assert!(body(Value::Array(many), None).is_err());
        let prune = Value::object([("prune", Value::Null)]);
        assert!(body(prune, Some("oll")).is_err());
    }
}
