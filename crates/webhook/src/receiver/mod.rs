//! A receiver that behaves like MIT Learn, and fails on demand.
//!
//! Learn answers a POST that it does not want with 405 whatever the reason, and nobody may send it
//! poison to find out what a sender makes of it. So the sender's tests, its demo and its users have
//! this receiver: `ol-webhook listen`. It checks signatures and payloads in the order and by the
//! rules of Learn, and a [`Fault`] makes it answer late, slowly, wrongly or not at all. It takes
//! tens of thousands of requests a second, so that what a benchmark measures is the sender.
//!
//! | file | question it answers |
//! |---|---|
//! | `learn`, `validation`, `ovs`, `python` | what would Learn answer? |
//! | `fault`, `weather`, `control` | what goes wrong, when, and who says so? |
//! | `journal`, `counters`, `entity` | what happened? |
//! | `connections`, `service`, `request`, `answer` | how does a request come in and its answer go out? |

mod answer;
mod connections;
mod control;
mod counters;
mod entity;
mod fault;
mod journal;
mod learn;
mod ovs;
mod python;
mod request;
mod service;
#[cfg(test)]
mod tests;
mod validation;
mod weather;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use ol_chassis::Error;
use ol_chassis::clock::Clock;
use ol_chassis::shutdown::Shutdown;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::signature::Keyring;

pub use counters::Summary;
pub use fault::Fault;

use connections::Connections;
use counters::Counters;
use journal::Journal;
use learn::Learn;
use service::Service;
use weather::Weather;

/// How to receive.
#[derive(Clone, Debug)]
pub struct ReceiverSettings {
    /// Where to listen. Port 0 takes a free one.
    pub address: SocketAddr,
    /// The secrets whose signatures are believed. Learn has one; any of these will do here.
    pub keyring: Keyring,
    /// What goes wrong from the start.
    pub faults: Vec<Fault>,
    /// A file to append a line to for every request, with its body.
    pub journal: Option<PathBuf>,
    /// Stop by itself once so many requests have been answered.
    pub stop_after_requests: Option<u64>,
    /// Answer on `learning_resources/`, a route that Learn has not got.
    pub with_learning_resources: bool,
    /// The hosts that the media of a video may come from; `.suffix` stands for every subdomain.
    /// Learn has `.cloudfront.net` and the host of OVS.
    pub ovs_allowed_hosts: Vec<String>,
    /// The time, for signatures, delays and the journal.
    pub clock: Arc<dyn Clock>,
}

/// A receiver that has its address and does not serve yet: connections wait.
pub struct Receiver {
    listener: TcpListener,
    address: SocketAddr,
    service: Arc<Service>,
    journal: Option<Journal>,
}

impl std::fmt::Debug for Receiver {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Receiver").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Receiver {
    /// Takes the address and opens the journal.
    ///
    /// # Errors
    /// Configuration, when the address cannot be listened on; definite, when the journal cannot be
    /// opened.
    pub async fn bind(settings: ReceiverSettings) -> Result<Self, Error> {
        let requested = settings.address;
        let bound = TcpListener::bind(requested).await;
        let listener = bound.map_err(|source| cannot_listen(requested, source))?;
        let address = listener.local_addr().map_err(|source| cannot_listen(requested, source))?;
        let (journal, entries) = match settings.journal {
            Some(path) => Some(Journal::open(path).await?).unzip(),
            None => (None, None),
        };
        let hosts = settings.ovs_allowed_hosts.iter().filter(|host| !host.is_empty());
        let service = Service {
            learn: Learn {
                keyring: settings.keyring,
                with_learning_resources: settings.with_learning_resources,
                ovs_allowed_hosts: hosts.map(|host| host.to_lowercase()).collect(),
            },
            weather: Weather::new(settings.faults),
            counters: Counters::default(),
            journal: entries,
            stop_after_requests: settings.stop_after_requests,
            enough: Shutdown::new(),
            clock: settings.clock,
        };
        Ok(Self { listener, address, service: Arc::new(service), journal })
    }

    /// Where it listens; with its port, when port 0 was asked for.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown` is requested or there have been as many requests as asked for, then
    /// lets the requests at hand come to their end.
    ///
    /// # Errors
    /// When the journal cannot be written.
    pub async fn serve(self, shutdown: Shutdown) -> Result<Summary, Error> {
        let Self { listener, address, service, journal } = self;
        let journal_ends = Shutdown::new();
        let mut writer = JoinSet::new();
        if let Some(journal) = journal {
            writer.spawn(journal.write(journal_ends.clone()));
        }
        let mut connections = Connections::new(Arc::clone(&service));
        tracing::info!(%address, "receiving");
        let failure = tokio::select! {
            () = connections.accept(&listener) => None,
            () = shutdown.requested() => None,
            () = service.enough.requested() => None,
            Some(ended) = writer.join_next() => journal_failure(ended),
        };
        drop(listener);
        connections.leave().await;
        journal_ends.request();
        let failure = match writer.join_next().await {
            Some(ended) => failure.or_else(|| journal_failure(ended)),
            None => failure,
        };
        failure.map_or_else(|| Ok(service.counters.summary()), Err)
    }
}

fn journal_failure(ended: Result<Result<(), Error>, tokio::task::JoinError>) -> Option<Error> {
    match ended {
        Ok(written) => written.err(),
        Err(source) => Some(Error::definite("The journal's writer died").caused_by(source)),
    }
}

fn cannot_listen(address: SocketAddr, source: io::Error) -> Error {
    let (message, advice) = if source.kind() == io::ErrorKind::AddrInUse {
        (
            "Cannot listen: the address is in use",
            "Stop whatever listens there, or choose another port; port 0 takes a free one",
        )
    } else {
        (
            "Cannot listen on the address",
            "Choose an address of this machine, such as 127.0.0.1, and a port above 1023",
        )
    };
    Error::configuration(message).with("address", address).advise(advice).caused_by(source)
}
