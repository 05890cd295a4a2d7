//! Connections: taken, served, and let go in an orderly way.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use ol_chassis::shutdown::Shutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinError, JoinSet};

use super::counters;
use super::service::Service;

/// How long requests that are being answered may take once the receiver stops.
const GRACE: Duration = Duration::from_secs(5);
/// How long to wait when the system has no more sockets to give.
const PAUSE: Duration = Duration::from_millis(100);

/// The connections of a receiver.
pub(super) struct Connections {
    service: Arc<Service>,
    builder: Builder<TokioExecutor>,
    tasks: JoinSet<()>,
    leaving: Shutdown,
}

impl Connections {
    pub(super) fn new(service: Arc<Service>) -> Self {
        Self {
            service,
            builder: Builder::new(TokioExecutor::new()),
            tasks: JoinSet::new(),
            leaving: Shutdown::new(),
        }
    }

    /// Takes connections for ever.
    pub(super) async fn accept(&mut self, listener: &TcpListener) {
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((socket, peer)) => self.serve(socket, peer.ip().to_canonical().is_loopback()),
                    Err(error) => self.wait_after(&error).await,
                },
                Some(ended) = self.tasks.join_next() => report(ended),
            }
        }
    }

    /// Lets every request that is being answered come to its end, within a grace.
    pub(super) async fn leave(&mut self) {
        self.leaving.request();
        let clock = Arc::clone(&self.service.clock);
        let drained = async {
            while let Some(ended) = self.tasks.join_next().await {
                report(ended);
            }
        };
        tokio::select! {
            () = drained => {}
            () = clock.sleep(GRACE) => {
                tracing::warn!(grace_seconds = GRACE.as_secs(), "closing connections that did not end");
            }
        }
        self.tasks.shutdown().await;
    }

    fn serve(&mut self, socket: TcpStream, is_local: bool) {
        let counters = &self.service.counters;
        counters::add(&counters.connections);
        if self.service.weather.refuses_connection() {
            counters::add(&counters.connections_refused);
            return;
        }
        // An answer is one write; without this the last part of a slow one waits for its turn.
        let _ = socket.set_nodelay(true);
        let (service, leaving) = (Arc::clone(&self.service), self.leaving.clone());
        let builder = self.builder.clone();
        self.tasks.spawn(async move {
            let respond = service_fn(|request| {
                let service = Arc::clone(&service);
                async move { service.respond(is_local, request).await }
            });
            let mut connection = pin!(builder.serve_connection(TokioIo::new(socket), respond));
            let ended = tokio::select! {
                ended = connection.as_mut() => ended,
                () = leaving.requested() => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = ended {
                tracing::debug!(error = %error, "connection ended early");
            }
        });
    }

    async fn wait_after(&self, error: &io::Error) {
        tracing::warn!(error = %error, "cannot take a connection; waiting");
        self.service.clock.sleep(PAUSE).await;
    }
}

fn report(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!("a connection's task panicked");
    }
}
