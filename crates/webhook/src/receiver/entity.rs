//! Which thing a payload is about, for the journal and for the fault `reject`.

use serde_json::Value;

use super::learn::Route;
use super::python;

/// The names that a payload gives its entity, the one that Learn prefers first.
pub(super) fn names(route: Route, payload: &Value) -> Vec<String> {
    match route {
        Route::ContentFiles | Route::ContentFilesDelete => {
            pick(payload, &["course_readable_id", "course_id"])
        }
        Route::OvsVideos => pick(payload, &["key", "video_id"]),
        Route::LearningResources => {
            let resources = payload.get("resources").and_then(Value::as_array);
            resources.into_iter().flatten().flat_map(|item| pick(item, &["readable_id"])).collect()
        }
    }
}

fn pick(object: &Value, fields: &[&str]) -> Vec<String> {
    fields
        .iter()
        .filter_map(|field| object.get(*field))
        .filter(|value| value.is_string() || value.is_number())
        .map(|value| python::text(value).into_owned())
        .filter(|name| !name.is_empty())
        .collect()
}
