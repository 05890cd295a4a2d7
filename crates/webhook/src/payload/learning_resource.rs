//! One record of a catalogue, held against what the loaders of MIT Learn do with it.
//!
//! Section 5 of the contract lists thirteen defects of today's four senders. Those that one record shows are found
//! here, those that only a whole batch shows in [`feed`](super::feed), and each says what would happen.

use super::fields::{NO_NULL, holds_null};
use super::identity::learn_id;
use super::json::Value;
use super::kind::Kind;
use super::problem::Problems;
use super::vocabulary::{OFFERORS, PLATFORMS, RESOURCE_TYPES};

/// The fields of today's senders, in an order that is the order of each of them.
const LEGACY_ORDER: [&str; 16] = [
    "readable_id",
    "title",
    "url",
    "description",
    "image",
    "topics",
    "published",
    "professional",
    "etl_source",
    "offered_by",
    "platform",
    "resource_type",
    "resource_category",
    "created_on",
    "runs",
    "courses",
];

/// Other fields that the loaders take. A field that they do not know breaks the whole record.
const OTHER_FIELDS: [&str; 31] = [
    "full_description",
    "last_modified",
    "languages",
    "departments",
    "certification",
    "certification_type",
    "ocw_topics",
    "content_tags",
    "prices",
    "availability",
    "completeness",
    "delivery",
    "license_cc",
    "test_mode",
    "continuing_ed_credits",
    "pace",
    "format",
    "location",
    "duration",
    "min_weeks",
    "max_weeks",
    "time_commitment",
    "min_weekly_hours",
    "max_weekly_hours",
    "next_start_date",
    "require_summaries",
    "force_ingest",
    "unique_field",
    "course",
    "child_programs",
    "video",
];

/// Lengths that MIT Learn stores, in characters.
const LONGEST_CHARACTERS: [(&str, usize); 3] =
    [("readable_id", 512), ("title", 256), ("url", 2048)];

/// Checks one record of a batch and puts its fields into the order of today's senders, other fields behind in theirs.
pub(super) fn check(
    index: usize,
    etl_source: &str,
    resource: Value,
    problems: &mut Problems,
) -> Option<Value> {
    let place = format!("resources[{index}]");
    let Value::Object(pairs) = resource else {
        problems.refuse(&place, "Must be an object");
        return None;
    };
    let mut record = Record { place, etl_source, resource: Value::Object(pairs), problems };
    record.fields();
    record.words();
    record.id();
    record.topics();
    record.parts();
    record.times();
    let Value::Object(mut pairs) = record.resource else { return None };
    pairs.sort_by_key(|(name, _)| {
        LEGACY_ORDER.iter().position(|known| known == name).unwrap_or(LEGACY_ORDER.len())
    });
    Some(Value::Object(pairs))
}

struct Record<'a> {
    place: String,
    etl_source: &'a str,
    resource: Value,
    problems: &'a mut Problems,
}

impl Record<'_> {
    fn refuse(&mut self, field: &str, rule: impl Into<String>) {
        self.problems.refuse(&format!("{}.{field}", self.place), rule);
    }

    fn warn(&mut self, field: &str, rule: impl Into<String>) {
        self.problems.warn(&format!("{}.{field}", self.place), rule);
    }

    fn text(&self, field: &str) -> Option<&str> {
        self.resource.get(field).and_then(Value::as_str)
    }

    fn is_type(&self, word: &str) -> bool {
        self.text("resource_type") == Some(word)
    }

    fn fields(&mut self) {
        let pairs = self.resource.as_object().unwrap_or_default();
        let unknown: Vec<String> = pairs
            .iter()
            .map(|(name, _)| name)
            .filter(|name| !LEGACY_ORDER.iter().chain(&OTHER_FIELDS).any(|known| known == name))
            .cloned()
            .collect();
        let unstorable: Vec<String> = pairs
            .iter()
            .filter(|(_, value)| holds_null(value))
            .map(|(name, _)| name.clone())
            .collect();
        for name in unknown {
            self.refuse(&name, "Is not a field that MIT Learn stores");
        }
        for name in unstorable {
            self.refuse(&name, NO_NULL);
        }
        for field in ["readable_id", "title"] {
            if self.text(field).is_none_or(|text| text.trim().is_empty()) {
                self.refuse(field, "Must be a text and not empty");
            }
        }
        for (field, longest) in LONGEST_CHARACTERS {
            if self.text(field).is_some_and(|text| text.chars().count() > longest) {
                self.refuse(field, format!("Must not be longer than {longest} characters"));
            }
        }
        if self.text("title").is_some_and(has_html_entity) {
            self.warn("title", "Holds an HTML entity, which MIT Learn shows as it is written");
        }
        if self.resource.get("published").and_then(Value::as_bool).is_none() {
            self.refuse(
                "published",
                "Must be true or false, as the source says and not always true",
            );
        }
    }

    /// Defects 1 and 2, and the other code words.
    fn words(&mut self) {
        if self.text("etl_source") != Some(self.etl_source) {
            self.refuse("etl_source", "Must be the source of the batch");
        }
        match self.text("platform") {
            Some("edxorg") => self.refuse(
                "platform",
                "MIT Learn has no platform edxorg and stores nothing; edx.org is edx",
            ),
            Some(platform) if PLATFORMS.contains(&platform) => {}
            _ => self.refuse(
                "platform",
                format!(
                    "Must be one of {}; MIT Learn stores nothing otherwise",
                    PLATFORMS.join(", ")
                ),
            ),
        }
        match self.resource.get("offered_by") {
            None | Some(Value::Null) => {}
            Some(offeror) => match offeror.get("code").and_then(Value::as_str) {
                Some("oll") => self.refuse(
                    "offered_by.code",
                    "MIT Learn has no offeror oll and would clear it; courses of the Open \
                     Learning Library are offered by mitx or ocw",
                ),
                Some(code) if OFFERORS.contains(&code) => {}
                _ => self.refuse(
                    "offered_by.code",
                    format!(
                        "Must be one of {}; MIT Learn would clear the offeror",
                        OFFERORS.join(", ")
                    ),
                ),
            },
        }
        if self.text("resource_type").is_none_or(|word| !RESOURCE_TYPES.contains(&word)) {
            self.refuse("resource_type", format!("Must be one of {}", RESOURCE_TYPES.join(", ")));
        }
    }

    /// Defect 4, and the id rules of the other sources.
    fn id(&mut self) {
        if self.text("readable_id").is_none_or(|id| id.trim().is_empty()) {
            return; // Refused already.
        }
        if self
            .text("readable_id")
            .is_some_and(|id| id.chars().any(|one| one != '\0' && one.is_control()))
        {
            return self.refuse("readable_id", "Must not hold control characters");
        }
        if learn_id(Kind::LearningResources, self.etl_source, &self.resource).is_some() {
            return;
        }
        self.refuse(
            "readable_id",
            match self.etl_source {
                "mitpe" => {
                    "Must be the uuid of the feed and not the path of the page: MIT Learn \
                     would make a second record and its bookmarks would be lost"
                }
                "mit_climate" => "Must be the uuid of the article",
                "mit_edx" => {
                    "Must be the uuid of a program or, for a course, the key joined by + and \
                     not by /"
                }
                _ => "Must be the id of the course without its term, two parts joined by +",
            },
        );
    }

    /// Defect 8: names that MIT Learn does not find are dropped without a word.
    fn topics(&mut self) {
        let topics = match self.resource.get("topics") {
            None | Some(Value::Null) => return,
            Some(Value::Array(topics)) => topics.clone(),
            Some(_) => return self.refuse("topics", "Must be a list of objects with a name"),
        };
        for (index, topic) in topics.iter().enumerate() {
            let field = format!("topics[{index}].name");
            match topic.get("name").and_then(Value::as_str) {
                None => self.refuse(&field, "Must be a text"),
                Some(name) if has_html_entity(name) => {
                    self.refuse(
                        &field,
                        "Must not hold an HTML entity: MIT Learn finds no topic of that name",
                    );
                }
                Some(name) if name.contains('|') || name.trim() != name || name.is_empty() => {
                    self.refuse(
                        &field,
                        "Must be one name without blanks at its ends; the feed separates names by \
                         |",
                    );
                }
                Some(_) => {}
            }
        }
    }

    /// Defect 3 and the lists without which a loader stops.
    fn parts(&mut self) {
        let runs = self
            .resource
            .get("runs")
            .map_or(&[][..], |runs| runs.as_array().unwrap_or_default())
            .to_vec();
        if self.is_type("course") || self.is_type("program") {
            if runs.is_empty() && self.resource.get("published") != Some(&Value::Bool(false)) {
                self.refuse(
                    "runs",
                    "Must hold a run: MIT Learn unpublishes a course or program without one",
                );
            }
            for (index, run) in runs.iter().enumerate() {
                let field = format!("runs[{index}]");
                if run.get("run_id").and_then(Value::as_str).is_none_or(str::is_empty) {
                    self.refuse(&format!("{field}.run_id"), "Must be a text");
                } else if run.as_object().is_some_and(|pairs| pairs.len() == 1) {
                    self.warn(
                        &field,
                        "Holds only run_id: MIT Learn shows neither dates nor prices",
                    );
                }
            }
        }
        if self.is_type("program") {
            self.courses();
        }
        if self.is_type("document") {
            for field in ["topics", "image"] {
                if self.resource.get(field).is_none() {
                    self.refuse(
                        field,
                        "Must be given, null if there is none: the loader of documents stops \
                         without it",
                    );
                }
            }
        }
    }

    fn courses(&mut self) {
        let Some(Value::Array(courses)) = self.resource.get("courses") else {
            return self
                .refuse("courses", "Must be a list: the loader of programs stops without it");
        };
        let bare: Vec<usize> = courses
            .iter()
            .enumerate()
            .filter(|(_, course)| course.get("platform").and_then(Value::as_str).is_none())
            .map(|(index, _)| index)
            .collect();
        for index in bare {
            let field = format!("courses[{index}].platform");
            self.refuse(
                &field,
                "Must be given: the loader of programs loads each course and stops without it",
            );
        }
    }

    /// Defect 10: a time without its zone is read as UTC; the feed of the Climate Portal means Boston.
    fn times(&mut self) {
        for field in ["created_on", "last_modified"] {
            match self.resource.get(field) {
                None | Some(Value::Null) => {}
                Some(Value::String(time)) if !has_zone(time) => {
                    self.refuse(
                        field,
                        "Must be a time with Z or an offset: without one MIT Learn takes it for \
                         UTC",
                    );
                }
                Some(Value::String(_)) => {}
                Some(_) => self.refuse(field, "Must be a text or null"),
            }
        }
    }
}

/// Whether the text holds something like `&amp;` or `&#39;`. No entity has a name of one letter, so `AT&T;` has none.
fn has_html_entity(text: &str) -> bool {
    let is_name = |name: &str| {
        let (shortest, name) = name.strip_prefix('#').map_or((2, name), |number| (1, number));
        (shortest..=31).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    text.split('&').skip(1).filter_map(|rest| rest.split_once(';')).any(|(name, _)| is_name(name))
}

/// Whether an ISO 8601 time ends with `Z` or an offset.
fn has_zone(time: &str) -> bool {
    let clock = time.split_once(['T', ' ']).map_or("", |(_, clock)| clock);
    clock.ends_with('Z') || clock.contains(['+', '-'])
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::super::parser::parse;
    use super::super::problem::{Problem, Severity};
    use super::super::python;
    use super::*;

    fn checked(source: &str, resource: &str) -> (String, Vec<Problem>) {
        let mut problems = Problems::default();
        let value = check(0, source, parse(resource.as_bytes()).unwrap(), &mut problems).unwrap();
        let body = String::from_utf8(python::encode(&value)).unwrap();
        (body, problems.verdict().unwrap_or_else(|all| all))
    }

    /// The fields that are refused in a record of today's sender.
    fn refused(source: &str, resource: &str) -> Vec<String> {
        let (body, problems) = checked(source, resource);
        assert_eq!(body, resource, "the order of today's sender");
        let refusals = problems.into_iter().filter(|problem| problem.severity == Severity::Refusal);
        refusals.map(|problem| problem.field.replace("resources[0].", "")).collect()
    }

    const CLIMATE: &str = r#"{"readable_id":"2f9b3a54-0c1d-4e8f-9a7b-6c5d4e3f2a1b","title":"T","url":"https://climate.mit.edu/a","description":"D","image":null,"topics":[{"name":"Energy, Climate & Sustainability"}],"published":true,"etl_source":"mit_climate","offered_by":{"code":"climate"},"platform":"climate","resource_type":"document","resource_category":"Article","created_on":"2026-01-02T03:04:05Z"}"#;
    const MITPE: &str = r#"{"readable_id":"/course-catalog/a","title":"T","url":"https://professional.mit.edu/course-catalog/a","description":null,"image":{"url":"https://professional.mit.edu/i.png","alt":""},"topics":[{"name":"Innovation &amp; Design"}],"published":true,"professional":true,"etl_source":"mitpe","offered_by":{"code":"mitpe"},"platform":"mitpe","resource_type":"course"}"#;
    const OLL: &str = r#"{"readable_id":"MITx+0.501x","title":"T","url":null,"description":null,"image":null,"topics":[],"published":true,"etl_source":"oll","offered_by":{"code":"oll"},"platform":"oll","resource_type":"course","runs":[{"run_id":"MITx+0.501x+2T2019"}]}"#;
    const PROGRAM: &str = r#"{"readable_id":"2f9b3a54-0c1d-4e8f-9a7b-6c5d4e3f2a1b","title":"T","url":null,"description":null,"image":null,"topics":[],"published":true,"etl_source":"mit_edx","offered_by":{"code":"mitx"},"platform":"edxorg","resource_type":"program","courses":[{"readable_id":"MITx+6.00.1x"}]}"#;

    #[test]
    fn records_of_todays_senders_and_what_is_wrong_with_them() {
        assert_eq!(refused("mit_climate", CLIMATE), [""; 0]);
        assert_eq!(refused("mitpe", MITPE), ["readable_id", "topics[0].name", "runs"]);
        assert_eq!(refused("oll", OLL), ["offered_by.code"]);
        assert_eq!(refused("mit_edx", PROGRAM), ["platform", "runs", "courses[0].platform"]);
        let (_, problems) = checked("oll", OLL);
        assert!(problems.iter().any(|problem| problem.field == "resources[0].runs[0]"));
    }

    #[test]
    fn every_rule_of_a_record() {
        let long = format!("\"{}\"", "x".repeat(257));
        for (from, to, field) in [
            ("\"T\"", "\"\"", "title"),
            ("\"T\"", long.as_str(), "title"),
            ("\"title\":\"T\"", "\"title\":\"T\",\"footnotes\":\"\"", "footnotes"),
            ("\"published\":true", "\"published\":\"true\"", "published"),
            ("\"mit_climate\"", "\"climate\"", "etl_source"),
            ("\"platform\":\"climate\"", "\"platform\":\"mit_climate\"", "platform"),
            ("\"code\":\"climate\"", "\"name\":\"climate\"", "offered_by.code"),
            ("\"document\"", "\"article\"", "resource_type"),
            ("2f9b3a54-0c1d-4e8f-9a7b-6c5d4e3f2a1b", "https://climate.mit.edu/a", "readable_id"),
            ("Climate & Sustainability", "Climate &amp; Sustainability", "topics[0].name"),
            ("Energy, Climate", "Energy|Climate", "topics[0].name"),
            ("[{\"name\":\"Energy, Climate & Sustainability\"}]", "\"Energy\"", "topics"),
            ("\"image\":null,", "", "image"),
            ("05Z", "05", "created_on"),
            ("2f9b3a54", "\\u001f2f9b3a54", "readable_id"),
            ("\"T\"", "\"T\\u0000\"", "title"),
            ("{\"name\":\"Energy", "{\"a\":[{\"\\u0000\":1}],\"name\":\"Energy", "topics"),
            ("\"2026-01-02T03:04:05Z\"", "1767322800", "created_on"),
        ] {
            let resource = CLIMATE.replace(from, to);
            assert_ne!(resource, CLIMATE, "{from}");
            let (_, problems) = checked("mit_climate", &resource);
            let named: Vec<_> = problems.iter().map(|problem| problem.field.as_str()).collect();
            assert_eq!(named, [format!("resources[0].{field}")], "{to}");
        }
    }

    #[test]
    fn a_record_that_is_meant_to_vanish_needs_no_run() {
        let gone =
            PROGRAM.replace("edxorg", "edx").replace("\"published\":true", "\"published\":false");
        let gone = gone.replace(
            "\"readable_id\":\"MITx+6.00.1x\"",
            "\"readable_id\":\"MITx+6.00.1x\",\"platform\":\"edx\"",
        );
        assert_eq!(refused("mit_edx", &gone), [""; 0]);
    }

    #[test]
    fn entities_and_zones() {
        for text in ["a &amp; b", "&#39;", "&#x27;", "&&lt;"] {
            assert!(has_html_entity(text), "{text}");
        }
        for text in ["a & b; c", "R&D", "&;", "AT&T; x"] {
            assert!(!has_html_entity(text), "{text}");
        }
        for time in
            ["2026-01-02T03:04:05Z", "2026-01-02T03:04:05.1+00:00", "2026-01-02 03:04:05-05:00"]
        {
            assert!(has_zone(time), "{time}");
        }
        for time in ["2026-01-02T03:04:05", "2026-01-02", ""] {
            assert!(!has_zone(time), "{time}");
        }
    }
}
