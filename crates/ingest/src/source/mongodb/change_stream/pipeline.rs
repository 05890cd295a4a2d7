//! What of an event leaves the server.
//!
//! Of every event what is read of it: not what an update says that it changed, which would show fields that are excluded. Of
//! collections that are not followed no document, but the event itself, so that changes of one time are counted in the same
//! way whichever tables the unit has. Of documents with excluded or nulled fields all but those.
//!
//! A field is left out by its name, whatever that is: a document as pairs of name and value, filtered, and put together
//! again. Of a name that occurs twice in such a document one value is left by it; those of other collections come as they are.
//!
//! Stages that a change stream takes, and that are no younger than MongoDB 4.0. None touches an event's `_id`, without which
//! a stream cannot be resumed.

use std::collections::BTreeMap;

use super::super::bson::Builder;
use super::super::plan::CollectionPlan;

/// The stages behind `$changeStream`, for the collections that are followed.
#[must_use]
pub fn stages<'a>(plans: impl Iterator<Item = &'a CollectionPlan>) -> Vec<Builder> {
    let hidden: BTreeMap<&str, Vec<&str>> = plans
        .map(|plan| (plan.collection.name.as_str(), plan.hidden().into_iter().collect()))
        .collect();
    let names: Vec<&str> = hidden.keys().copied().collect();
    let is_followed = pair("$in", Builder::new().string("0", COLLECTION), literals(&names));
    let mut stages =
        vec![shape(condition(is_followed, |items| items.string("1", DOCUMENT).null("2")))];
    for (name, fields) in hidden.iter().filter(|(_, fields)| !fields.is_empty()) {
        let is_it = pair("$eq", Builder::new().string("0", COLLECTION), literal(name));
        let known = Builder::new().list("$ifNull", Builder::new().string("0", DOCUMENT).null("1"));
        let is_there = Builder::new().list("$ne", Builder::new().document("0", known).null("1"));
        let is_it = pair("$and", Builder::new().document("0", is_it), is_there);
        let is_hidden = pair("$in", Builder::new().string("0", "$$field.k"), literals(fields));
        let filter = Builder::new()
            .document("input", Builder::new().string("$objectToArray", DOCUMENT))
            .string("as", "field")
            .document("cond", Builder::new().list("$not", Builder::new().document("0", is_hidden)));
        let filter = Builder::new().document("$filter", filter);
        let without = Builder::new().document("$arrayToObject", filter);
        let document = condition(is_it, |items| items.document("1", without).string("2", DOCUMENT));
        stages.push(shape(document));
    }
    stages
}

/// The expression that is an event's collection.
const COLLECTION: &str = "$ns.coll";
/// The expression that is an event's document.
const DOCUMENT: &str = "$fullDocument";

/// An operator of two operands.
fn pair(operator: &str, first: Builder, second: Builder) -> Builder {
    Builder::new().list(operator, first.document("1", second))
}

/// The text itself, which might look like an expression.
fn literal(text: &str) -> Builder {
    Builder::new().string("$literal", text)
}

fn literals(texts: &[&str]) -> Builder {
    let numbered = (0u32..).zip(texts);
    let items = numbered
        .fold(Builder::new(), |items, (index, text)| items.string(&index.to_string(), text));
    Builder::new().list("$literal", items)
}

/// One of two operands, which `operands` adds as `1` and `2`.
fn condition(of: Builder, operands: impl FnOnce(Builder) -> Builder) -> Builder {
    Builder::new().list("$cond", operands(Builder::new().document("0", of)))
}

/// The stage that leaves of an event what is read of it, with this in the place of its document. (Not `$addFields`: what that
/// does to a field that is there is not the same everywhere.)
fn shape(document: Builder) -> Builder {
    let names = ["_id", "operationType", "clusterTime", "wallTime", "ns", "to", "documentKey._id"];
    let read = names.iter().fold(Builder::new(), |read, name| read.int32(name, 1));
    Builder::new().document("$project", read.document("fullDocument", document))
}
