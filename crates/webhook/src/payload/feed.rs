//! What only a whole batch of catalogue records shows: the rest of the thirteen defects of section 5 of the contract.
//!
//! | defect | found |
//! |---|---|
//! | 1 platform, 2 offeror, 3 runs, 4 id of mitpe, 8 topics, 10 zone of a time | in a record, refused |
//! | 5 programs of mitpe as courses, 6 its past runs, 7 published always true | here, a warning |
//! | 9 fields of oll left out, 10 full text of articles, 12 times of the query | here, a warning |
//! | 11 nothing says what is gone | the prune marker; withheld where it would unpublish too much |
//! | 13 two writers | here, a warning |

use super::json::Value;
use super::problem::Problems;

const FIELD: &str = "resources";

/// Warns of what the batch as a whole suggests.
pub(super) fn check(etl_source: &str, resources: &[Value], problems: &mut Problems) {
    let none_has = |fields: &[&str]| {
        !resources.iter().any(|resource| {
            fields.iter().any(|field| resource.get(field).is_some_and(Value::is_truthy))
        })
    };
    let all_are = |field: &str, value: &Value| {
        resources.iter().all(|resource| resource.get(field) == Some(value))
    };
    match etl_source {
        "mitpe" => {
            if all_are("resource_type", &Value::from("course")) {
                problems.warn(
                    FIELD,
                    "Are all courses; the feed of mitpe holds programs too, and says which",
                );
            }
            if runs(resources).any(|run| !run.get("start_date").is_some_and(Value::is_truthy)) {
                problems.warn(
                    FIELD,
                    "Hold runs without start_date; MIT Learn leaves out courses whose runs \
                     are past, and here that cannot be seen",
                );
            }
        }
        "mit_edx" if all_are("published", &Value::Bool(true)) => {
            problems.warn(
                FIELD,
                "Are all published; programs that left the feed stay in the table, and \
                 its column published says which",
            );
        }
        "oll" if none_has(&["duration", "time_commitment"]) => {
            problems.warn(
                FIELD,
                "Say nothing about duration and effort, which the sheet of oll holds and \
                 the old task of MIT Learn loads",
            );
        }
        "mit_climate" if none_has(&["full_description"]) => {
            problems.warn(FIELD, "Hold no full_description, which the old task of MIT Learn loads");
        }
        _ => {}
    }
    if let [first, _, ..] = resources
        && let Some(time) = first.get("last_modified").filter(|time| time.is_truthy())
        && all_are("last_modified", time)
    {
        problems.warn(
            FIELD,
            "Have all the same last_modified, which looks like the time of the query; \
             every batch will look changed",
        );
    }
    let task = match etl_source {
        "mit_climate" => Some("05:30"),
        "mitpe" => Some("21:00"),
        "mit_edx" => Some("05:00"),
        _ => None,
    };
    if let Some(time) = task {
        problems.warn(
            "etl_source",
            format!(
                "MIT Learn still loads this source itself at {time} UTC and will \
                 overwrite what is sent; stop that task first"
            ),
        );
    }
}

/// Why nothing may be said about records that a batch of this source does not hold. `None` where it may.
///
/// The marker names a source, not a type of record. Where other records of the source come by another way, a complete
/// batch is not the complete source, and taking the rest for gone would unpublish it.
pub(super) fn prune_withheld(etl_source: &str) -> Option<&'static str> {
    match etl_source {
        "mit_climate" | "mitpe" | "oll" => None,
        "mit_edx" => Some(
            "Is withheld: the courses of mit_edx come by another way and would be \
             unpublished with the programs",
        ),
        _ => Some("Is withheld: it is not known that a batch of this source holds all its records"),
    }
}

fn runs(resources: &[Value]) -> impl Iterator<Item = &Value> {
    resources.iter().filter_map(|resource| resource.get("runs").and_then(Value::as_array)).flatten()
}

#[cfg(test)]
mod tests {
    use super::super::problem::Problem;
    use super::*;

    fn warnings(source: &str, resources: &[Value]) -> Vec<Problem> {
        let mut problems = Problems::default();
        check(source, resources, &mut problems);
        problems.verdict().unwrap_or_else(|all| all)
    }

    fn resource(pairs: &[(&str, Value)]) -> Value {
        Value::object(pairs.iter().cloned())
    }

    #[test]
    fn what_a_batch_suggests() {
        let published = |truth| resource(&[("published", Value::Bool(truth))]);
        assert_eq!(warnings("mit_edx", &[published(true), published(true)]).len(), 2);
        assert_eq!(warnings("mit_edx", &[published(true), published(false)]).len(), 1);

        let course = resource(&[("resource_type", "course".into())]);
        let program = resource(&[("resource_type", "program".into())]);
        let undated = Value::Array(vec![resource(&[("run_id", "a".into())])]);
        assert_eq!(warnings("mitpe", &[course.clone(), course.clone()]).len(), 2);
        assert_eq!(warnings("mitpe", &[course.clone(), program]).len(), 1);
        assert_eq!(warnings("mitpe", &[course.clone(), resource(&[("runs", undated)])]).len(), 2);

        assert_eq!(warnings("oll", &[course]).len(), 1);
        assert_eq!(warnings("oll", &[resource(&[("duration", "4 weeks".into())])]).len(), 0);
        assert_eq!(warnings("mit_climate", &[resource(&[])]).len(), 2);
        assert_eq!(
            warnings("mit_climate", &[resource(&[("full_description", "a".into())])]).len(),
            1
        );
    }

    #[test]
    fn one_time_for_all_is_that_of_the_query() {
        let at = |time: &str| resource(&[("last_modified", time.into())]);
        assert_eq!(warnings("see", &[at("1"), at("1")]).len(), 1);
        assert_eq!(warnings("see", &[at("1"), at("2")]).len(), 0);
        assert_eq!(warnings("see", &[at("1")]).len(), 0);
        assert_eq!(warnings("see", &[at(""), at("")]).len(), 0);
    }
}
