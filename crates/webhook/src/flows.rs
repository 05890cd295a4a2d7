//! The two flows of this crate, as functions whose ends are the arrows in the diagram.

use std::sync::Arc;

use c4model::platform::{MitLearnReceiver, RawLake, WebhookOutbox};
use c4model::{Endpoint, Sink, Source, declared};
use ol_chassis::config::Platform;
use ol_chassis::flow::FlowRunner;

use crate::delivery::{Courier, Summary, Until};
use crate::error::Result;
use crate::input;
use crate::intake::Intake;
use crate::outbox::Outbox;
use crate::payload::Kind;
use crate::target::Learn;

/// A query over the lake, and what takes its rows.
pub struct LakeNotices {
    /// The query.
    pub query: String,
    /// The kind of payload that its rows are.
    pub kind: Kind,
    /// What puts them into the outbox.
    pub intake: Intake,
}

c4model::flow! { content_notices {
    moves: "Content notices",
    tech: "SQL, Iceberg",
    tech_onward: "SQL",
    idempotent: "unchanged content is skipped",
    kind: Scheduled,
    by: Through,
    owner: "data platform",
    cadence: "after each load",
    retry: "next run",
} }
/// Puts the rows of a query over the lake into the outbox.
///
/// # Errors
/// The lake's and the outbox's; what was enqueued before stays.
pub async fn content_notices(
    source: Source<RawLake, Platform>,
    sink: Sink<WebhookOutbox, Outbox>,
    mut notices: LakeNotices,
) -> Result<Intake> {
    let intake = &mut notices.intake;
    input::rows(source.endpoint(), &notices.query, notices.kind, async |row, value| {
        sink.moved(1, 0);
        intake.offer(row, value).await
    })
    .await?;
    Ok(notices.intake)
}

c4model::flow! { signed_notices {
    moves: "Signed notices",
    tech: "SQL",
    tech_onward: "HTTPS, HMAC",
    idempotent: "same id at every attempt, in order for each entity",
    kind: Queued,
    by: Through,
    owner: "data platform",
    retry: "10 tries over 76 hours, jitter",
    timeout: "60 s",
} }
/// Delivers what is in the outbox.
///
/// # Errors
/// The outbox's.
pub async fn signed_notices(
    _source: Source<WebhookOutbox, Outbox>,
    sink: Sink<MitLearnReceiver, Arc<Learn>>,
    courier: Courier,
    until: Until,
) -> Result<Summary> {
    let summary = Box::pin(courier.run(until)).await?;
    sink.moved(summary.delivered, 0);
    Ok(summary)
}

/// Runs [`content_notices()`].
///
/// # Errors
/// As there.
pub async fn notices_of_lake(
    runner: &FlowRunner,
    platform: Platform,
    outbox: Outbox,
    notices: LakeNotices,
) -> Result<Intake> {
    let lake = Endpoint::<RawLake, _>::new(platform);
    let outbox = Endpoint::<WebhookOutbox, _>::new(outbox);
    runner.run(declared!(content_notices), lake, outbox, notices).await
}

/// Runs [`signed_notices()`].
///
/// # Errors
/// As there.
pub async fn deliver(runner: &FlowRunner, courier: Courier, until: Until) -> Result<Summary> {
    let outbox = Endpoint::<WebhookOutbox, _>::new(courier.outbox.clone());
    let learn = Endpoint::<MitLearnReceiver, _>::new(Arc::clone(&courier.target));
    runner.run(declared!(signed_notices), outbox, learn, (courier, until)).await
}
