//! An outbox in Postgres: several workers on several machines share it.

use std::time::Duration;

use ol_chassis::secret::SecretUrl;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};

use crate::error::{Definite, Error, Failure, Result, Transient};

const CONNECT_TIMEOUT_SECONDS: u64 = 15;

/// Connects.
pub(super) async fn open(address: &SecretUrl) -> Result<PgPool> {
    // The parser's message may repeat parts of the address, so it is not kept as the cause.
    let options: PgConnectOptions = address.expose().parse().map_err(|_secret: sqlx::Error| {
        Error::new(Definite::Configuration)
            .with("variable", "OL_OUTBOX")
            .with("reason", "it is not postgres://user:password@host:port/database")
    })?;
    let place = format!("{}:{}", options.get_host(), options.get_port());
    PgPoolOptions::new()
        .max_connections(4)
        .acquire_timeout(Duration::from_secs(CONNECT_TIMEOUT_SECONDS))
        .connect_with(options.application_name("ol-webhook"))
        .await
        .map_err(|error| Error::new(failure(&error)).with("server", place).because(error))
}

/// What a failure of Postgres means, by its code (Appendix A of its documentation).
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the other kinds of this open enum all mean the same here"
)]
pub(super) fn failure(error: &sqlx::Error) -> Failure {
    let sqlx::Error::Database(database) = error else {
        return match error {
            sqlx::Error::Tls(_) | sqlx::Error::Configuration(_) => Definite::OutboxRefused.into(),
            sqlx::Error::ColumnDecode { .. }
            | sqlx::Error::Decode(_)
            | sqlx::Error::ColumnNotFound(_)
            | sqlx::Error::TypeNotFound { .. } => Definite::OutboxForeign.into(),
            _other => Transient::OutboxUnreachable.into(),
        };
    };
    let code = database.code().unwrap_or_default();
    let class = code.get(..2).unwrap_or_default();
    match (code.as_ref(), class) {
        ("55P03" | "40001" | "40P01" | "57014", _) => Transient::OutboxLocked.into(),
        ("53100", _) => Definite::DiskFull.into(),
        ("25006", _) => Definite::OutboxUnwritable.into(),
        (_, "08" | "53" | "57" | "58") => Transient::OutboxUnreachable.into(),
        (_, "28" | "3D" | "3F") | ("42501", _) => Definite::OutboxRefused.into(),
        _other => Definite::OutboxForeign.into(),
    }
}
