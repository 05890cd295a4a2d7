//! The typed ends of a flow. Only a [`Runner`](crate::Runner) turns an endpoint into a source or a
//! sink, so a function that takes them can be run in no other way.

use std::marker::PhantomData;
use std::sync::Arc;

use crate::observe::{EndpointName, Meter};
use crate::registry::elements;
use crate::{Element, Family, Single, SinkEnd, SourceEnd};

/// A deployment name that no element declares. Declare it beside the family, or bind it with
/// [`Endpoint::of_any_deployment`], which marks the run as undeclared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UndeclaredDeployment {
    /// Id of the family.
    pub family: &'static str,
    /// The name asked for.
    pub deployment: String,
}

impl std::fmt::Display for UndeclaredDeployment {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { family, deployment } = self;
        write!(formatter, "the architecture has no deployment `{deployment}` of `{family}`")
    }
}

impl std::error::Error for UndeclaredDeployment {}

/// An element together with what is needed to open it: `Connection` is the opener's own type (a
/// secret URL, a catalog handle), which the flow's function gets back through its source or sink.
#[derive(Debug)]
pub struct Endpoint<E: Element, Connection = ()> {
    name: EndpointName,
    connection: Connection,
    element: PhantomData<fn() -> E>,
}

impl<E: Single, Connection> Endpoint<E, Connection> {
    /// The endpoint of an element that exists once.
    pub fn new(connection: Connection) -> Self {
        let name = EndpointName {
            element: E::DECLARATION.facts.id.to_owned(),
            deployment: None,
            declared: true,
        };
        Self { name, connection, element: PhantomData }
    }
}

impl<E: Family, Connection> Endpoint<E, Connection> {
    /// The endpoint of one declared deployment of a family, by its name in the inventory.
    ///
    /// # Errors
    /// [`UndeclaredDeployment`] when no linked crate declares such a deployment.
    pub fn of_deployment(
        deployment: &str,
        connection: Connection,
    ) -> Result<Self, UndeclaredDeployment> {
        let endpoint = Self::of_any_deployment(deployment, connection);
        if endpoint.is_declared() {
            Ok(endpoint)
        } else {
            let family = E::DECLARATION.facts.id;
            Err(UndeclaredDeployment { family, deployment: deployment.to_owned() })
        }
    }

    /// The endpoint of a deployment whether or not it is declared. The inventory may name a new
    /// database before the architecture does; the run then says so (`declared: false`), and the
    /// next check of what was observed fails until it is declared.
    pub fn of_any_deployment(deployment: &str, connection: Connection) -> Self {
        let family = E::DECLARATION.facts.id;
        let declaration = elements().find(|element| {
            element
                .deployment_of
                .is_some_and(|(of, name)| of.facts.id == family && name == deployment)
        });
        let name = EndpointName {
            element: declaration.map_or(family, |element| element.facts.id).to_owned(),
            deployment: Some(deployment.to_owned()),
            declared: declaration.is_some(),
        };
        Self { name, connection, element: PhantomData }
    }
}

impl<E: Element, Connection> Endpoint<E, Connection> {
    /// Whether the architecture knows this very deployment.
    #[must_use]
    pub fn is_declared(&self) -> bool {
        self.name.declared
    }

    /// Which element, and which deployment of it.
    #[must_use]
    pub fn name(&self) -> &EndpointName {
        &self.name
    }
}

/// Where a flow reads: opened by a [`Runner`](crate::Runner) from an [`Endpoint`].
#[derive(Debug)]
pub struct Source<E: Element, Connection = ()> {
    endpoint: Endpoint<E, Connection>,
}

impl<E: Element, Connection> Source<E, Connection> {
    /// What is needed to open it.
    #[must_use]
    pub fn endpoint(&self) -> &Connection {
        &self.endpoint.connection
    }

    /// What is needed to open it, taken out.
    #[must_use]
    pub fn into_endpoint(self) -> Connection {
        self.endpoint.connection
    }

    /// Which element, and which deployment of it.
    #[must_use]
    pub fn name(&self) -> &EndpointName {
        &self.endpoint.name
    }
}

/// Where a flow writes: opened by a [`Runner`](crate::Runner) from an [`Endpoint`].
#[derive(Debug)]
pub struct Sink<E: Element, Connection = ()> {
    endpoint: Endpoint<E, Connection>,
    meter: Arc<Meter>,
}

impl<E: Element, Connection> Sink<E, Connection> {
    /// What is needed to open it.
    #[must_use]
    pub fn endpoint(&self) -> &Connection {
        &self.endpoint.connection
    }

    /// What is needed to open it, taken out.
    #[must_use]
    pub fn into_endpoint(self) -> Connection {
        self.endpoint.connection
    }

    /// Which element, and which deployment of it.
    #[must_use]
    pub fn name(&self) -> &EndpointName {
        &self.endpoint.name
    }

    /// Adds to what this run has moved; the observer of the run gets the sums.
    pub fn moved(&self, rows: u64, bytes: u64) {
        self.meter.add(rows, bytes);
    }
}

/// An endpoint, or a tuple of endpoints, that a runner can open as the ends of a flow.
pub trait Endpoints {
    /// The source, or the tuple of sources, it opens as.
    type Source: SourceEnd;
    /// The sink, or the tuple of sinks, it opens as.
    type Sink: SinkEnd;

    /// Which elements these are.
    fn names(&self) -> Vec<EndpointName>;
    /// Opens for reading.
    #[doc(hidden)]
    fn open_source(self, opener: &Opener) -> Self::Source;
    /// Opens for writing.
    #[doc(hidden)]
    fn open_sink(self, opener: &Opener) -> Self::Sink;
}

/// What only a runner holds: without it nothing opens.
#[derive(Debug)]
pub struct Opener {
    pub(crate) meter: Arc<Meter>,
}

impl<E: Element, Connection> Endpoints for Endpoint<E, Connection> {
    type Source = Source<E, Connection>;
    type Sink = Sink<E, Connection>;

    fn names(&self) -> Vec<EndpointName> {
        vec![self.name.clone()]
    }

    fn open_source(self, _opener: &Opener) -> Self::Source {
        Source { endpoint: self }
    }

    fn open_sink(self, opener: &Opener) -> Self::Sink {
        Sink { endpoint: self, meter: Arc::clone(&opener.meter) }
    }
}

macro_rules! endpoints_of_tuples {
    ($(($($element:ident $connection:ident $field:ident),+))+) => {$(
        impl<$($element: Element, $connection),+> Endpoints
            for ($(Endpoint<$element, $connection>,)+)
        {
            type Source = ($(Source<$element, $connection>,)+);
            type Sink = ($(Sink<$element, $connection>,)+);

            fn names(&self) -> Vec<EndpointName> {
                let ($($field,)+) = self;
                vec![$($field.name.clone()),+]
            }

            fn open_source(self, opener: &Opener) -> Self::Source {
                let ($($field,)+) = self;
                ($($field.open_source(opener),)+)
            }

            fn open_sink(self, opener: &Opener) -> Self::Sink {
                let ($($field,)+) = self;
                ($($field.open_sink(opener),)+)
            }
        }
    )+};
}
endpoints_of_tuples! {
    (A P first, B Q second)
    (A P first, B Q second, D R third)
    (A P first, B Q second, D R third, E S fourth)
}
