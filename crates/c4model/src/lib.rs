//! Declares the architecture: elements, flows and the evidence for each arrow.
//!
//! An arrow drawn by hand rots, because nothing breaks when it stops being true. Here an arrow is
//! a function signature: [`flow!`] takes the function that carries the data, and the two ends of
//! the arrow are read from its [`Source`] and [`Sink`] parameters. Rename the function, delete it,
//! or change its parameters, and the workspace no longer compiles or the arrow moves with it. What
//! other teams' systems do has no function to point at; [`external!`] states whence we know it,
//! and [`target!`] what is planned.
//!
//! ```
//! use c4model::{declared, element, flow, Endpoint, Runner, Sink, Source};
//!
//! element! { pub Orders: Container { id: "orders", name: "Orders database", shape: Database,
//!     tech: "PostgreSQL", owner: "shop", summary: "Orders and payments" } }
//! element! { pub Lake: Container { id: "lake", name: "Lake", shape: Bucket,
//!     tech: "S3, Iceberg", owner: "data platform", summary: "Tables as the sources have them" } }
//!
//! flow! { copy_orders { moves: "Orders", tech: "COPY BINARY", kind: Scheduled, by: Through,
//!     owner: "data platform", cadence: "every 6 hours", retry: "next run", timeout: "1 hour" } }
//! fn copy_orders(source: Source<Orders, u16>, sink: Sink<Lake, String>) -> Result<u64, ()> {
//!     assert_eq!((*source.endpoint(), sink.endpoint().as_str()), (5432, "s3://lake"));
//!     sink.moved(10, 640);
//!     Ok(10)
//! }
//!
//! let orders = Endpoint::<Orders, _>::new(5432);
//! let lake = Endpoint::<Lake, _>::new("s3://lake".to_owned());
//! let rows = Runner::silent().run_blocking(declared!(copy_orders), orders, lake, ());
//! assert_eq!(rows, Ok(10));
//! ```
//!
//! Deleting the function does not compile:
//! ```compile_fail,E0425
//! use c4model::{element, flow, Sink, Source};
//! element! { pub Orders: Container { id: "orders", name: "Orders", summary: "Orders" } }
//! flow! { copy_orders { moves: "Orders", tech: "COPY", kind: Sync, by: From, owner: "shop" } }
//! ```
//! Nor does a function whose parameters are not a source and a sink:
//! ```compile_fail,E0283
//! use c4model::{element, flow, Sink, Source};
//! element! { pub Orders: Container { id: "orders", name: "Orders", summary: "Orders" } }
//! flow! { copy_orders { moves: "Orders", tech: "COPY", kind: Sync, by: From, owner: "shop" } }
//! fn copy_orders(_from: Source<Orders>, _to: String) {}
//! ```
//! Nor running a function that no [`flow!`] declares:
//! ```compile_fail,E0573
//! use c4model::{declared, element, Endpoint, Runner, Sink, Source};
//! element! { pub Orders: Container { id: "orders", name: "Orders", summary: "Orders" } }
//! fn copy_orders(_from: Source<Orders>, _to: Sink<Orders>) -> Result<(), ()> { Ok(()) }
//! let end = || Endpoint::<Orders, _>::new(());
//! Runner::silent().run_blocking(declared!(copy_orders), end(), end(), ());
//! ```
//! Nor making a source without a runner:
//! ```compile_fail,E0423
//! c4model::element! { pub Orders: Container { id: "orders", name: "Orders", summary: "Orders" } }
//! let source: c4model::Source<Orders> = c4model::Source(());
//! ```

mod carrier;
mod element;
mod endpoint;
mod evidence;
mod flow;
mod macros;
mod model;
mod observe;
pub mod platform;
mod registry;
mod runner;
mod scenario;
#[doc(hidden)]
pub mod words;

pub use carrier::{Carrier, Declared, DeclaredFlow, SinkEnd, SourceEnd};
pub use element::{Element, ElementDeclaration, ElementFacts, Family, Level, Shape, Single};
pub use endpoint::{Endpoint, Endpoints, Sink, Source, UndeclaredDeployment};
pub use evidence::Evidence;
pub use flow::{Caller, FlowDeclaration, FlowFacts, Kind, Status};
pub use model::{ElementRecord, EvidenceRecord, FlowRecord, Model, ScenarioRecord, StepRecord};
pub use observe::{EndpointName, FlowRun, Observer, Outcome};
pub use registry::{ELEMENTS, FLOWS, SCENARIOS, elements, flows, scenarios};
pub use runner::Runner;
pub use scenario::{ScenarioDeclaration, StepDeclaration};

/// What the macros of this crate expand to; not for use by hand.
#[doc(hidden)]
pub mod expansion {
    pub use crate::carrier::{sinks_of, sources_of};
    pub use crate::words;
    pub use linkme;
}
