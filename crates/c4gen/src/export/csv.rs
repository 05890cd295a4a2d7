//! Flows as a table.

use c4model::{Model, Status};

use crate::scene::leg::is_verified;

pub(super) fn write(model: &Model) -> String {
    let mut text = String::from(
        "id,from,through,to,moves,tech,tech_onward,kind,by,status,verified,control,owner,cadence,retry,timeout,idempotent,personal_data\r\n",
    );
    for flow in &model.flows {
        let status = match flow.status {
            Status::Live => "live",
            Status::Target => "target",
            Status::Retiring => "retiring",
        };
        let kind = if flow.kind.is_async() { "async" } else { "sync" };
        let yes = |value: bool| if value { "yes" } else { "no" }.to_owned();
        let fields = [
            flow.id.clone(),
            flow.from.join(" "),
            flow.through.clone().unwrap_or_default(),
            flow.to.join(" "),
            flow.moves.clone(),
            flow.tech.clone(),
            flow.tech_onward.clone(),
            kind.to_owned(),
            flow.by.clone(),
            status.to_owned(),
            yes(is_verified(flow)),
            yes(flow.is_control),
            flow.owner.clone(),
            flow.cadence.clone(),
            flow.retry.clone(),
            flow.timeout.clone(),
            flow.idempotent.clone(),
            flow.personal_data.clone(),
        ];
        let fields: Vec<String> =
            fields.iter().map(|field| format!("\"{}\"", field.replace('"', "\"\""))).collect();
        text.push_str(&fields.join(","));
        text.push_str("\r\n");
    }
    text
}
