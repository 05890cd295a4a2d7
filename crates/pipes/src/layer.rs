//! Events of `tracing` as messages in the log of the run.

use std::fmt;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use crate::guard::Inside;
use crate::message::Level;
use crate::session::WeakSession;

/// Sends events to the log of the run as `span{field=value}: message field=value`.
///
/// Events that this crate causes itself, on its threads or while it sends, are left out, so nothing
/// recurs. What cannot be sent is dropped: the events also reach the process's own log. The layer
/// does not keep the session open, and is silent once it is closed.
#[derive(Debug)]
pub struct PipesLayer {
    session: WeakSession,
    least: tracing::Level,
}

impl PipesLayer {
    pub(crate) fn new(session: WeakSession) -> Self {
        Self { session, least: tracing::Level::INFO }
    }

    /// Sends events of this level and above; the default is INFO.
    #[must_use]
    pub fn with_least_level(mut self, least: tracing::Level) -> Self {
        self.least = least;
        self
    }
}

/// The fields of a span as text, kept with the span; several layers share them.
struct Fields(Vec<(&'static str, String)>);

impl<S> Layer<S> for PipesLayer
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut text = Text::default();
        attributes.record(&mut text);
        span.extensions_mut().replace(Fields(text.fields));
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut extensions = span.extensions_mut();
        if let Some(fields) = extensions.get_mut::<Fields>() {
            let mut text = Text { fields: std::mem::take(&mut fields.0), ..Text::default() };
            values.record(&mut text);
            fields.0 = text.fields;
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        if *event.metadata().level() > self.least || Inside::is_entered() {
            return;
        }
        let Some(session) = self.session.upgrade() else { return };
        let mut line = String::new();
        for span in context.event_scope(event).into_iter().flat_map(|scope| scope.from_root()) {
            line.push_str(span.name());
            if let Some(Fields(fields)) = span.extensions().get::<Fields>()
                && !fields.is_empty()
            {
                line.push('{');
                push_fields(&mut line, fields);
                line.push('}');
            }
            line.push_str(": ");
        }
        let mut text = Text::default();
        event.record(&mut text);
        line.push_str(&text.message);
        if !text.fields.is_empty() {
            if !text.message.is_empty() {
                line.push(' ');
            }
            push_fields(&mut line, &text.fields);
        }
        drop(session.log(level_of(event.metadata().level()), &line));
    }
}

fn level_of(level: &tracing::Level) -> Level {
    match *level {
        tracing::Level::ERROR => Level::Error,
        tracing::Level::WARN => Level::Warning,
        tracing::Level::INFO => Level::Info,
        tracing::Level::DEBUG | tracing::Level::TRACE => Level::Debug,
    }
}

/// Collects the message and the other fields; a field recorded again takes its new value.
#[derive(Default)]
struct Text {
    message: String,
    fields: Vec<(&'static str, String)>,
}

impl Text {
    fn set(&mut self, field: &Field, value: String) {
        if field.name() == "message" {
            self.message = value;
        } else if let Some((_, old)) =
            self.fields.iter_mut().find(|(name, _)| *name == field.name())
        {
            *old = value;
        } else {
            self.fields.push((field.name(), value));
        }
    }
}

impl Visit for Text {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field, value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.set(field, format!("{value:?}"));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.set(field, value.to_string());
    }
}

fn push_fields(line: &mut String, fields: &[(&'static str, String)]) {
    for (index, (name, value)) in fields.iter().enumerate() {
        if index > 0 {
            line.push(' ');
        }
        line.push_str(name);
        line.push('=');
        line.push_str(value);
    }
}
