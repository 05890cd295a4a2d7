//! The session: opened once, shared by all threads, closed once.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io::{BufReader, Read as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError, Weak};
use std::time::{Duration, Instant};

use serde_json::{Map, Value};

use crate::asset_key::AssetKey;
use crate::bootstrap::{self, ContextPlace};
use crate::channel::{self, Channel};
use crate::context::Context;
use crate::error::{Error, ErrorKind, Result};
use crate::exception::Exception;
use crate::guard::Inside;
use crate::layer::PipesLayer;
use crate::message::{Check, Level, Materialization, Message, Stream};
use crate::stream::ExternalStream;

/// A session with the orchestrator, or the silent stand-in for one outside Dagster.
///
/// Clones share one session. Every call is synchronous and may come from any thread; messages
/// arrive in the order of the calls. Only [`close`](Self::close) may wait for the network (S3, at
/// most 60 seconds), so asynchronous callers should close on a blocking thread.
#[derive(Clone)]
pub struct Pipes {
    session: Arc<Session>,
}

/// What all clones share; the panic hook and the tracing layer hold it weakly, so that the last
/// clone's end is the session's end.
pub(crate) struct Session {
    context: Context,
    active: bool,
    include_stdio_in_messages: bool,
    state: Mutex<State>,
}

struct State {
    /// `None` once closed, and outside Dagster.
    channel: Option<Box<dyn Channel>>,
    materialized: BTreeSet<AssetKey>,
}

impl Pipes {
    /// Opens the session that the process's environment describes, or else the arguments
    /// `--dagster-pipes-context` and `--dagster-pipes-messages` (also as `NAME=VALUE`); each of the
    /// two parameters is looked for in the environment first.
    ///
    /// Where neither holds the context parameter the session is a silent one.
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`], [`ErrorKind::ChannelUnknown`], [`ErrorKind::ContextUnreadable`],
    /// [`ErrorKind::ContextInvalid`] and [`ErrorKind::Delivery`]; all but the failures of disk and
    /// network are definite.
    pub fn open(arguments: &[String]) -> Result<Self> {
        Self::open_with(std::env::vars_os(), arguments)
    }

    /// As [`open`](Self::open), with the given variables in place of the environment, of which the
    /// credentials of S3 are part.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_with(
        variables: impl IntoIterator<Item = (OsString, OsString)>,
        arguments: &[String],
    ) -> Result<Self> {
        let variables: BTreeMap<OsString, OsString> = variables.into_iter().collect();
        let Some(bootstrap) = bootstrap::find(&variables, arguments)? else {
            return Ok(Self::silent());
        };
        let context = load_context(bootstrap.context, &variables)?;
        let mut channel = channel::open(&bootstrap.messages, &variables)?;
        channel.send(Message::Opened)?;
        Ok(Self {
            session: Arc::new(Session {
                context,
                active: true,
                include_stdio_in_messages: bootstrap.include_stdio_in_messages,
                state: Mutex::new(State { channel: Some(channel), materialized: BTreeSet::new() }),
            }),
        })
    }

    /// A session that sends nothing.
    #[must_use]
    pub fn silent() -> Self {
        Self {
            session: Arc::new(Session {
                context: Context::default(),
                active: false,
                include_stdio_in_messages: false,
                state: Mutex::new(State { channel: None, materialized: BTreeSet::new() }),
            }),
        }
    }

    /// Whether Dagster started the process; stays `true` after closing.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.session.active
    }

    /// The step this process runs for; empty outside Dagster.
    #[must_use]
    pub fn context(&self) -> &Context {
        &self.session.context
    }

    /// Whether the orchestrator asks for the output of the process as messages
    /// (`include_stdio_in_messages`). Nothing is captured by itself: a program that wants to
    /// comply writes its output to [`external_stream`](Self::external_stream) as well.
    #[must_use]
    pub fn includes_stdio(&self) -> bool {
        self.session.include_stdio_in_messages
    }

    /// Reports that an asset holds new data.
    ///
    /// # Errors
    /// [`ErrorKind::AssetNotTargeted`] and [`ErrorKind::MaterializedTwice`], which would fail the
    /// step in Dagster without a word about the process; [`ErrorKind::Closed`];
    /// [`ErrorKind::Delivery`].
    pub fn report_materialization(&self, materialization: &Materialization) -> Result<()> {
        let key = &materialization.asset_key;
        self.session.require_target(key)?;
        self.session.with_state(|state| {
            if state.materialized.contains(key) {
                return Err(
                    Error::new(ErrorKind::MaterializedTwice).about("asset_key", key.to_string())
                );
            }
            state.send(Message::Materialization(materialization))?;
            state.materialized.insert(key.clone());
            Ok(())
        })
    }

    /// Reports the outcome of an asset check. Dagster drops the outcome of a check that is not
    /// declared on the asset, and fails the step.
    ///
    /// # Errors
    /// [`ErrorKind::AssetNotTargeted`], [`ErrorKind::Closed`], [`ErrorKind::Delivery`].
    pub fn report_check(&self, check: &Check) -> Result<()> {
        self.session.require_target(&check.asset_key)?;
        self.session.with_state(|state| state.send(Message::Check(check)))
    }

    /// Sends a document to the code that launched the process (`get_custom_messages()`).
    ///
    /// # Errors
    /// [`ErrorKind::Closed`], [`ErrorKind::Delivery`].
    pub fn report_custom(&self, payload: &Value) -> Result<()> {
        self.session.with_state(|state| state.send(Message::Custom(payload)))
    }

    /// Writes to the log of the run.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`], [`ErrorKind::Delivery`].
    pub fn log(&self, level: Level, text: &str) -> Result<()> {
        self.session.log(level, text)
    }

    /// Sends output that a stream produced; the orchestrator writes it to its own.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`], [`ErrorKind::Delivery`].
    pub fn log_external_stream(
        &self,
        stream: Stream,
        text: &str,
        extras: &Map<String, Value>,
    ) -> Result<()> {
        self.session
            .with_state(|state| state.send(Message::ExternalStream { stream, text, extras }))
    }

    /// A writer whose lines become [`log_external_stream`](Self::log_external_stream) messages.
    #[must_use]
    pub fn external_stream(&self, stream: Stream) -> ExternalStream {
        ExternalStream::new(self.clone(), stream)
    }

    /// A `tracing` layer that sends events of level INFO and above to the log of the run.
    #[must_use]
    pub fn layer(&self) -> PipesLayer {
        PipesLayer::new(Arc::downgrade(&self.session))
    }

    /// Makes every panic of the process close the session, with an exception that names the place.
    /// The panic's text is sent only when it is a literal: a formatted one may hold a value.
    ///
    /// A panic that is caught later closes the session too; what is reported afterwards is refused.
    /// The hook that was installed before still runs. Outside Dagster nothing is installed.
    pub fn install_panic_hook(&self) {
        if self.is_active() {
            crate::panic::install(Arc::downgrade(&self.session));
        }
    }

    /// Closes the session, with the failure of the process if it failed. Later calls do nothing,
    /// whatever they say.
    ///
    /// # Errors
    /// [`ErrorKind::Delivery`] and [`ErrorKind::DeliveryTimeout`] when messages did not arrive; the
    /// session counts as closed even so.
    pub fn close(&self, exception: Option<Exception>) -> Result<()> {
        self.session.close(exception.as_ref())
    }
}

impl fmt::Debug for Pipes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Pipes")
            .field("active", &self.session.active)
            .field("run_id", &self.session.context.run_id)
            .finish_non_exhaustive()
    }
}

impl Session {
    pub(crate) fn log(&self, level: Level, text: &str) -> Result<()> {
        self.with_state(|state| state.send(Message::Log { level, text }))
    }

    pub(crate) fn close(&self, exception: Option<&Exception>) -> Result<()> {
        if !self.active {
            return Ok(());
        }
        let _inside = Inside::enter();
        close_state(self.lock(), exception)
    }

    /// As [`close`](Self::close), but gives up when another thread holds the session for longer
    /// than the wait, which may be the very thread that is about to end the process.
    pub(crate) fn close_unless_held(&self, exception: &Exception, wait: Duration) -> Result<()> {
        let _inside = Inside::enter();
        let deadline = Instant::now() + wait;
        loop {
            match self.state.try_lock() {
                Ok(state) => return close_state(state, Some(exception)),
                Err(TryLockError::Poisoned(state)) => {
                    return close_state(state.into_inner(), Some(exception));
                }
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(5));
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(Error::new(ErrorKind::DeliveryTimeout));
                }
            }
        }
    }

    fn with_state(&self, action: impl FnOnce(&mut State) -> Result<()>) -> Result<()> {
        if !self.active {
            return Ok(());
        }
        let _inside = Inside::enter();
        action(&mut self.lock())
    }

    fn require_target(&self, key: &AssetKey) -> Result<()> {
        let targets = &self.context.asset_keys;
        if !self.active || targets.is_empty() || targets.contains(key) {
            return Ok(());
        }
        Err(Error::new(ErrorKind::AssetNotTargeted).about("asset_key", key.to_string()).about(
            "targets",
            targets.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
        ))
    }

    /// A panic while the lock was held leaves nothing half done: each message is sent whole.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn send(&mut self, message: Message<'_>) -> Result<()> {
        match &mut self.channel {
            Some(channel) => channel.send(message),
            None => Err(Error::new(ErrorKind::Closed)),
        }
    }
}

/// Takes the channel out and lets go of the lock before what is buffered is delivered, so that
/// other threads do not wait for the network.
fn close_state(mut state: MutexGuard<'_, State>, exception: Option<&Exception>) -> Result<()> {
    let Some(mut channel) = state.channel.take() else { return Ok(()) };
    let sent = channel.send(Message::Closed { exception });
    drop(state);
    sent.and(channel.finish())
}

impl Drop for Session {
    fn drop(&mut self) {
        let message = if std::thread::panicking() {
            "The session ended without being closed, by a panic"
        } else {
            "The session ended without being closed"
        };
        // There is nobody left to tell; Dagster itself warns when `closed` does not arrive.
        drop(self.close(Some(&Exception::of(message))));
    }
}

/// Weak access for those who must not keep the session open.
pub(crate) type WeakSession = Weak<Session>;

fn load_context(place: ContextPlace, variables: &BTreeMap<OsString, OsString>) -> Result<Context> {
    let document = match place {
        ContextPlace::Inline { data } => {
            return serde_json::from_value(Value::Object(data)).map_err(|_quotes_the_document| {
                Error::new(ErrorKind::ContextInvalid).about("place", "inline")
            });
        }
        ContextPlace::File { path } => {
            let mut bytes = Vec::new();
            File::open(&path)
                .and_then(|file| BufReader::new(file).read_to_end(&mut bytes))
                .map_err(|source| {
                    Error::new(ErrorKind::ContextUnreadable)
                        .about("path", path.as_str())
                        .caused_by_io(source)
                })?;
            (bytes, path)
        }
        ContextPlace::Object { bucket, key } => {
            (crate::object::fetch(&bucket, &key, variables)?, format!("s3://{bucket}/{key}"))
        }
    };
    let (bytes, place) = document;
    // The parser's error may quote the document, which may hold anything; its position does not.
    serde_json::from_slice(&bytes).map_err(|source| {
        Error::new(ErrorKind::ContextInvalid)
            .about("place", place)
            .about("line", source.line().to_string())
            .about("column", source.column().to_string())
    })
}
