//! Prometheus metrics of long runs, scraped at `/metrics`.
//!
//! Code records with the `metrics` crate's macros; nothing is kept until [`serve`] installs the
//! recorder, so a short run pays nothing. Names follow one grammar,
//! `<domain>_<name>_<unit>[_total]`, and stand as constants in one place of each crate, checked
//! when it is compiled:
//!
//! ```
//! /// Rows written to the lake.
//! const LAKE_WRITTEN_ROWS_TOTAL: &str = "lake_written_rows_total";
//! const _: () = assert!(ol_chassis::metrics::is_well_named(LAKE_WRITTEN_ROWS_TOTAL));
//! ```
//!
//! Labels are names of things (tables, outcomes), never values of cells and never secrets (I9).

use std::net::SocketAddr;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder};

use crate::error::Error;

/// Requests made to Vault, by `outcome`: `ok`, `refused`, `unavailable`.
pub const SECRET_VAULT_REQUESTS_TOTAL: &str = "secret_vault_requests_total";
const _: () = assert!(is_well_named(SECRET_VAULT_REQUESTS_TOTAL));

/// Units a name may end in (before `_total`).
const UNITS: [&str; 10] = [
    "bytes", "seconds", "rows", "files", "tables", "events", "requests", "retries", "errors",
    "ratio",
];

const SECONDS_BUCKETS: [f64; 12] =
    [0.005, 0.025, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0];
const BYTES_BUCKETS: [f64; 8] =
    [1024.0, 65_536.0, 1_048_576.0, 16_777_216.0, 67_108_864.0, 268_435_456.0, 1.074e9, 1.1e12];

/// True when `name` is `<domain>_<name>_<unit>` or the same with `_total`, in lower case letters,
/// digits and single underscores, and the unit is one of bytes, seconds, rows, files, tables,
/// events, requests, retries, errors, ratio.
pub const fn is_well_named(name: &str) -> bool {
    let bytes = name.as_bytes();
    let Some((&first, _)) = bytes.split_first() else { return false };
    if !first.is_ascii_lowercase() {
        return false;
    }
    let (rest, last) = split_last_word(bytes);
    let (rest, unit) = if equal(last, b"total") { split_last_word(rest) } else { (rest, last) };
    let mut known = false;
    let mut units: &[&str] = &UNITS;
    while let Some((candidate, others)) = units.split_first() {
        known = known || equal(unit, candidate.as_bytes());
        units = others;
    }
    let (domain, own_name) = split_last_word(rest);
    known && !domain.is_empty() && !own_name.is_empty() && is_snake_case(bytes)
}

const fn is_snake_case(mut bytes: &[u8]) -> bool {
    let mut after_underscore = true;
    while let Some((&byte, rest)) = bytes.split_first() {
        let underscore = byte == b'_';
        let letter = byte.is_ascii_lowercase() || byte.is_ascii_digit();
        if !(letter || (underscore && !after_underscore)) {
            return false;
        }
        after_underscore = underscore;
        bytes = rest;
    }
    !after_underscore
}

/// What stands before the last underscore, and after it; all of it is "after" when there is none.
const fn split_last_word(bytes: &[u8]) -> (&[u8], &[u8]) {
    let mut at = bytes.len();
    let mut front = bytes;
    while let Some((&last, rest)) = front.split_last() {
        at -= 1;
        if last == b'_' {
            let (_, word) = bytes.split_at(at + 1);
            return (rest, word);
        }
        front = rest;
    }
    (&[], bytes)
}

const fn equal(mut left: &[u8], mut right: &[u8]) -> bool {
    loop {
        match (left.split_first(), right.split_first()) {
            (None, None) => return true,
            (Some((a, left_rest)), Some((b, right_rest))) if *a == *b => {
                left = left_rest;
                right = right_rest;
            }
            _ => return false,
        }
    }
}

/// Records metrics from now on and serves them at `http://ADDRESS/metrics` until the process ends.
///
/// Must be called inside a tokio runtime, once a process. Histograms whose names end in `_seconds`
/// or `_bytes` get fixed buckets.
///
/// # Errors
/// Configuration when the address cannot be listened on or its port is 0 (no scraper could know the
/// port); definite when another recorder is installed.
pub fn serve(address: SocketAddr) -> Result<(), Error> {
    let advice =
        "Give --metrics-address an address of this machine and a free port, such as 0.0.0.0:9464";
    if address.port() == 0 {
        return Err(Error::configuration("Port 0 cannot be scraped")
            .with("address", address)
            .advise(advice));
    }
    let suffix = |text: &str| Matcher::Suffix(text.to_owned());
    let refuse = |source| {
        Error::configuration("Cannot serve metrics")
            .with("address", address)
            .caused_by(source)
            .advise(advice)
    };
    let (recorder, exporter) = PrometheusBuilder::new()
        .set_buckets_for_metric(suffix("_seconds"), &SECONDS_BUCKETS)
        .and_then(|builder| builder.set_buckets_for_metric(suffix("_bytes"), &BYTES_BUCKETS))
        .and_then(|builder| builder.with_http_listener(address).build())
        .map_err(refuse)?;
    metrics::set_global_recorder(recorder).map_err(|_| {
        Error::definite("Metrics are recorded elsewhere already").with("address", address)
    })?;
    metrics::describe_counter!(SECRET_VAULT_REQUESTS_TOTAL, "Requests made to Vault, by outcome");
    tokio::spawn(async move {
        if exporter.await.is_err() {
            tracing::warn!(%address, "metrics are no longer served");
        }
    });
    tracing::info!(%address, "serving metrics at /metrics");
    Ok(())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn the_grammar_of_names() {
        for good in
            ["lake_written_rows_total", "ingest_table_copy_seconds", "pipes_sent_bytes_total"]
        {
            assert!(is_well_named(good), "{good}");
        }
        for bad in [
            "",
            "rows",
            "lake_rows",
            "lake_rows_total",
            "lake_written_total",
            "lake_written_millis",
            "Lake_written_rows",
            "lake__written_rows",
            "_lake_written_rows",
            "lake_written_rows_",
            "lake-written_rows",
            "1lake_written_rows",
        ] {
            assert!(!is_well_named(bad), "{bad}");
        }
    }

    #[tokio::test]
    async fn what_is_counted_is_scraped_and_a_second_server_is_refused() {
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let error = serve(taken.local_addr().unwrap()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(error.to_string().contains("127.0.0.1") && error.advice().is_some(), "{error}");
        assert!(serve("127.0.0.1:0".parse().unwrap()).is_err());

        let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        serve(address).unwrap();
        metrics::counter!(SECRET_VAULT_REQUESTS_TOTAL, "outcome" => "scraped").increment(3);
        metrics::histogram!("chassis_test_seconds").record(0.2);

        let mut connection = TcpStream::connect(address).await.unwrap();
        let request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        connection.write_all(request.as_bytes()).await.unwrap();
        let mut reply = String::new();
        connection.read_to_string(&mut reply).await.unwrap();
        assert!(reply.starts_with("HTTP/1.1 200"), "{reply}");
        assert!(reply.contains("secret_vault_requests_total{outcome=\"scraped\"} 3"), "{reply}");
        assert!(reply.contains("chassis_test_seconds_bucket{le=\"0.5\"} 1"), "{reply}");

        let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let other = free.local_addr().unwrap();
        drop(free);
        assert_eq!(serve(other).unwrap_err().kind(), ErrorKind::Definite);
    }
}
