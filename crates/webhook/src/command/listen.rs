//! `ol-webhook listen`: the receiver to try things with.

use std::sync::Arc;

use ol_chassis::Exit;
use serde_json::json;

use super::Work;
use crate::cli::Listen;
use crate::error::Result;
use crate::receiver::{Receiver, ReceiverSettings};
use crate::target::SecretPlace;

pub(super) async fn execute(work: &Work, arguments: Listen) -> Result<Exit> {
    let keyring = SecretPlace::from_variables(&work.variables)?.read().await?;
    let receiver = Receiver::bind(ReceiverSettings {
        address: arguments.address,
        keyring,
        faults: arguments.faults,
        journal: arguments.journal,
        stop_after_requests: arguments.requests,
        with_learning_resources: arguments.with_learning_resources,
        ovs_allowed_hosts: work.settings.ovs_media_hosts.clone(),
        clock: Arc::clone(&work.context.clock),
    })
    .await?;
    // Whoever started us may have to learn the port; the document at the end is another line.
    let address = receiver.address().to_string();
    if work.json {
        ol_chassis::cli::print(&json!({ "address": address }).to_string());
    } else {
        ol_chassis::cli::print(&format!(
            "Listening at http://{address}, as MIT Learn would; Ctrl-C ends it"
        ));
    }
    let summary = receiver.serve(work.context.shutdown.clone()).await?;
    work.print(&summary, |summary| {
        let value = serde_json::to_value(summary).unwrap_or_default();
        let pairs: Vec<String> = value
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, number)| format!("{name} {number}"))
            .collect();
        format!("{}\n", pairs.join(", "))
    });
    Ok(Exit::Done)
}
