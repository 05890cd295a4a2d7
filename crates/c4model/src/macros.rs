//! The declaring macros. Each makes a type and puts a record into the registry; the record is
//! built in a constant, so what is missing or misspelt stops the compiler.

/// Declares an element.
///
/// ```
/// # use c4model::element;
/// // A group, and a container inside it.
/// element! { pub Shop: Group { id: "shop", name: "Shop", summary: "Everything that sells" } }
/// element! { pub Orders: Container in Shop { id: "orders", name: "Orders", shape: Database,
///     tech: "PostgreSQL", owner: "shop", summary: "Orders" } }
/// // One element that stands for many deployments, and two of them. A deployment takes shape,
/// // level, place, technology and owner from its family where it does not say otherwise; `in`
/// // puts it elsewhere.
/// element! { pub StockDatabase: family of Container in Shop { id: "stock", name: "Stock databases",
///     shape: Database, tech: "MySQL", owner: "shop", summary: "One a warehouse" } }
/// element! { pub BostonStock: StockDatabase as "boston" { id: "stock_boston", name: "Boston stock",
///     summary: "Stock in Boston" } }
/// element! { pub Harbour: System { id: "harbour", name: "Harbour", tech: "Django", owner: "harbour",
///     summary: "The warehouse at the harbour" } }
/// element! { pub HarbourStock: StockDatabase as "harbour" in Harbour { id: "stock_harbour",
///     name: "Harbour stock", summary: "Stock at the harbour" } }
/// ```
#[macro_export]
macro_rules! element {
    ($($declaration:tt)*) => { $crate::declare_element! { [registered] $($declaration)* } };
}

/// What [`element!`] expands to.
#[doc(hidden)]
#[macro_export]
macro_rules! declare_element {
    ([$how:ident] $(#[$meta:meta])* $visibility:vis $name:ident : family of $level:ident $(in $parent:ident)?
        { $($field:ident : $value:expr),* $(,)? }) => {
        $crate::declare_element! { @type [$how] [$(#[$meta])*] $visibility $name
            [$crate::Level::$level] [$crate::declare_element!(@parent $($parent)?)] [None] [true]
            [$crate::ElementFacts { $($field: $value,)* ..$crate::ElementFacts::UNSTATED }] }
        impl $crate::Family for $name {}
    };
    ([$how:ident] $(#[$meta:meta])* $visibility:vis $name:ident : $family:ident as $deployment:literal
        $(in $parent:ident)? { $($field:ident : $value:expr),* $(,)? }) => {
        $crate::declare_element! { @type [$how] [$(#[$meta])*] $visibility $name
            [<$family as $crate::Element>::DECLARATION.level]
            [$crate::declare_element!(@parent_or
                [<$family as $crate::Element>::DECLARATION.parent] $($parent)?)]
            [Some((<$family as $crate::Element>::DECLARATION, $deployment))] [false]
            [$crate::ElementFacts { $($field: $value,)* ..$crate::ElementFacts::UNSTATED }
                .completed_by(&<$family as $crate::Element>::DECLARATION.facts)] }
        impl $crate::Single for $name {}
    };
    ([$how:ident] $(#[$meta:meta])* $visibility:vis $name:ident : $level:ident $(in $parent:ident)?
        { $($field:ident : $value:expr),* $(,)? }) => {
        $crate::declare_element! { @type [$how] [$(#[$meta])*] $visibility $name
            [$crate::Level::$level] [$crate::declare_element!(@parent $($parent)?)] [None] [false]
            [$crate::ElementFacts { $($field: $value,)* ..$crate::ElementFacts::UNSTATED }] }
        impl $crate::Single for $name {}
    };
    (@parent) => { None };
    (@parent_or [$($family:tt)*]) => { $($family)* };
    (@parent_or [$($family:tt)*] $parent:ident) => {
        Some(<$parent as $crate::Element>::DECLARATION)
    };
    (@parent $parent:ident) => { Some(<$parent as $crate::Element>::DECLARATION) };
    (@type [$how:ident] [$($meta:tt)*] $visibility:vis $name:ident [$($level:tt)*] [$($parent:tt)*]
        [$($deployment_of:tt)*] [$is_family:literal] [$($facts:tt)*]) => {
        $($meta)*
        #[doc = concat!("The element `", stringify!($name), "` of the architecture.")]
        #[derive(Debug, Clone, Copy)]
        $visibility enum $name {}
        const _: () = {
            #[allow(unused_imports, reason = "a declaration need not use every word")]
            use $crate::expansion::words::*;
            const DECLARATION: $crate::ElementDeclaration = $crate::ElementDeclaration {
                level: $($level)*,
                parent: $($parent)*,
                deployment_of: $($deployment_of)*,
                is_family: $is_family,
                facts: $($facts)*.checked(),
            };
            impl $crate::Element for $name {
                const DECLARATION: &'static $crate::ElementDeclaration = &DECLARATION;
            }
            $crate::register! { [$how] ELEMENTS: ElementDeclaration }
        };
    };
}

/// Declares a live flow of ours by the function that carries it. Put it right above the function.
///
/// The ends come from the function's first two parameters, `Source<A, …>` and `Sink<B, …>` or
/// tuples of them; up to two owned arguments may follow; the function may be async. Fields are
/// those of [`FlowFacts`](crate::FlowFacts); `moves`, `tech` and `owner` must be stated.
///
/// ```
/// use c4model::{element, flow, Sink, Source};
/// element! { pub Orders: Container { id: "orders", name: "Orders", summary: "Orders" } }
/// element! { pub Prices: Container { id: "prices", name: "Prices", summary: "Prices" } }
/// element! { pub Lake: Container { id: "lake", name: "Lake", summary: "Tables" } }
///
/// flow! { both { moves: "Priced orders", tech: "SQL", kind: Scheduled, by: Through, owner: "us",
///     cadence: "hourly", retry: "next run", timeout: "10 minutes" } }
/// async fn both(_from: (Source<Orders>, Source<Prices>), _to: Sink<Lake>, _limit: u64)
///     -> Result<(), String> { Ok(()) }
///
/// let flow = <both as c4model::DeclaredFlow>::DECLARATION;
/// assert_eq!(flow.from.iter().map(|end| end.facts.id).collect::<Vec<_>>(), ["orders", "prices"]);
/// ```
#[macro_export]
macro_rules! flow {
    ($(#[$meta:meta])* $function:ident { $($field:ident : $value:expr),* $(,)? }) => {
        $crate::declare_flow! { [registered] $function
            [$crate::expansion::sources_of(&$function)] [$crate::expansion::sinks_of(&$function)]
            [Live] [Some($crate::Evidence::code(
                concat!(module_path!(), "::", stringify!($function)),
                file!(),
                line!(),
                env!("CARGO_PKG_NAME"),
            ))] { $($field: $value),* } }
    };
}

/// What [`flow!`], [`external!`], [`retiring!`] and [`target!`] expand to.
#[doc(hidden)]
#[macro_export]
macro_rules! declare_flow {
    ([$how:ident] $name:ident [$($from:tt)*] [$($to:tt)*] [$status:ident] [$($code:tt)*]
        { $($field:ident : $value:expr),* }) => {
        #[doc = concat!("The flow `", stringify!($name), "` of the architecture.")]
        #[allow(
            non_camel_case_types,
            unreachable_pub,
            reason = "the flow and its function share one name and are found wherever it is"
        )]
        #[derive(Debug, Clone, Copy)]
        pub enum $name {}
        const _: () = {
            #[allow(unused_imports, reason = "a declaration need not use every word")]
            use $crate::expansion::words::*;
            const DECLARATION: $crate::FlowDeclaration = $crate::FlowDeclaration {
                id: stringify!($name),
                from: $($from)*,
                to: $($to)*,
                status: $status,
                facts: $crate::FlowFacts { $($field: $value,)* ..$crate::FlowFacts::UNSTATED }
                    .checked(),
                code: $($code)*,
            };
            impl $crate::DeclaredFlow for $name {
                const DECLARATION: &'static $crate::FlowDeclaration = &DECLARATION;
            }
            $crate::register! { [$how] FLOWS: FlowDeclaration }
        };
    };
}

/// Declares a live flow of somebody else's: nothing of ours runs it, so it states its evidence,
/// `file(path, text)` of this repository or `said(who, when)`, which is drawn as not verified.
///
/// ```
/// # use c4model::{element, external};
/// # element! { pub Orders: Container { id: "orders", name: "Orders", summary: "Orders" } }
/// # element! { pub Lake: Container { id: "lake", name: "Lake", summary: "Tables" } }
/// external! { nightly_dump: Orders => Lake { moves: "Dump", tech: "pg_dump", kind: Scheduled,
///     by: From, owner: "shop", evidence: &[said("the shop's wiki", "2026-08")] } }
/// ```
/// Without evidence it does not compile:
/// ```compile_fail,E0080
/// # use c4model::{element, external};
/// # element! { pub Orders: Container { id: "orders", name: "Orders", summary: "Orders" } }
/// # element! { pub Lake: Container { id: "lake", name: "Lake", summary: "Tables" } }
/// external! { nightly_dump: Orders => Lake { moves: "Dump", tech: "pg_dump", kind: Scheduled,
///     by: From, owner: "shop" } }
/// ```
#[macro_export]
macro_rules! external {
    ($name:ident : $($declaration:tt)*) => {
        $crate::external! { @how [registered] $name : $($declaration)* }
    };
    (@how [$how:ident] $($declaration:tt)*) => {
        $crate::declare_foreign! { [$how] [Live] $($declaration)* }
    };
}

/// Declares a flow of somebody else's that exists and is to go, with its evidence as in
/// [`external!`](crate::external): the target view leaves it out.
///
/// ```
/// # use c4model::{element, retiring};
/// # element! { pub Orders: Container { id: "orders", name: "Orders", summary: "Orders" } }
/// # element! { pub Lake: Container { id: "lake", name: "Lake", summary: "Tables" } }
/// retiring! { hourly_dump: Orders => Lake { moves: "Dump", tech: "pg_dump", kind: Scheduled,
///     by: From, owner: "shop", evidence: &[said("the shop's wiki", "2026-08")] } }
/// ```
#[macro_export]
macro_rules! retiring {
    ($name:ident : $($declaration:tt)*) => {
        $crate::retiring! { @how [registered] $name : $($declaration)* }
    };
    (@how [$how:ident] $($declaration:tt)*) => {
        $crate::declare_foreign! { [$how] [Retiring] $($declaration)* }
    };
}

/// What [`external!`] and [`retiring!`] expand to.
#[doc(hidden)]
#[macro_export]
macro_rules! declare_foreign {
    ([$how:ident] [$status:ident] $name:ident : $from:ident => $to:ident
        { $($field:ident : $value:expr),* $(,)? }) => {
        $crate::declare_flow! { [$how] $name
            [&[<$from as $crate::Element>::DECLARATION]] [&[<$to as $crate::Element>::DECLARATION]]
            [$status] [None] { $($field: $value),* } }
        const _: () = assert!(
            !<$name as $crate::DeclaredFlow>::DECLARATION.facts.evidence.is_empty(),
            "a flow of others needs evidence: file(path, text) or said(who, when)"
        );
    };
}

/// Declares a flow that is planned and not built: drawn violet and dotted, with no function.
/// A function of the same name declared by [`flow!`] is found by `c4gen check`.
///
/// ```
/// # use c4model::{element, target};
/// # element! { pub Orders: Container { id: "orders", name: "Orders", summary: "Orders" } }
/// # element! { pub Lake: Container { id: "lake", name: "Lake", summary: "Tables" } }
/// target! { change_capture: Orders => Lake { moves: "Changes", tech: "pgoutput", kind: Event,
///     by: To, owner: "data platform" } }
/// ```
#[macro_export]
macro_rules! target {
    ($name:ident : $($declaration:tt)*) => {
        $crate::target! { @how [registered] $name : $($declaration)* }
    };
    (@how [$how:ident] $name:ident : $from:ident => $to:ident { $($field:ident : $value:expr),* $(,)? }) => {
        $crate::declare_flow! { [$how] $name
            [&[<$from as $crate::Element>::DECLARATION]] [&[<$to as $crate::Element>::DECLARATION]]
            [Target] [None] { $($field: $value),* } }
    };
}

/// Declares a story along flows; a step names a flow, so a story cannot use an arrow that the
/// model lacks.
///
/// ```
/// # use c4model::{element, target, scenario};
/// # element! { pub Orders: Container { id: "orders", name: "Orders", summary: "Orders" } }
/// # element! { pub Lake: Container { id: "lake", name: "Lake", summary: "Tables" } }
/// # target! { copy: Orders => Lake { moves: "Rows", tech: "SQL", by: To, owner: "us" } }
/// scenario! { a_new_order { title: "A new order reaches the lake", steps: [
///     copy => "the row is copied",
/// ] } }
/// ```
#[macro_export]
macro_rules! scenario {
    ($name:ident { title: $title:literal, $(about: $about:literal,)? steps: [$($flow:path => $note:literal),+ $(,)?] $(,)? }) => {
        const _: () = {
            const DECLARATION: $crate::ScenarioDeclaration = $crate::ScenarioDeclaration {
                id: stringify!($name),
                title: $title,
                about: concat!($($about)?),
                steps: &[$($crate::StepDeclaration {
                    flow: <$flow as $crate::DeclaredFlow>::DECLARATION,
                    note: $note,
                }),+],
            };
            $crate::register! { [registered] SCENARIOS: ScenarioDeclaration }
        };
    };
}

/// A function together with its declared flow, for [`Runner::run`](crate::Runner::run). Takes the
/// path of the function; import or name it so that both the function and its flow come along.
#[macro_export]
macro_rules! declared {
    ($($segment:ident)::+) => {
        $crate::Declared::new($($segment)::+, ::core::marker::PhantomData::<$($segment)::+>)
    };
}

/// Puts a declaration into the registry, unless it is in a list of its own already.
#[doc(hidden)]
#[macro_export]
macro_rules! register {
    ([listed] $($slice:tt)*) => {};
    ([registered] $slice:ident : $type:ident) => {
        #[$crate::expansion::linkme::distributed_slice($crate::$slice)]
        #[linkme(crate = $crate::expansion::linkme)]
        static REGISTERED: &$crate::$type = &DECLARATION;
    };
}

/// Declares elements of this very crate and lists them. The registry is filled through link
/// sections, which this workspace permits only where another crate's macro makes them.
macro_rules! listed_elements {
    ($list:ident: $(($(#[$meta:meta])* pub $name:ident $($rest:tt)*))*) => {
        $($crate::declare_element! { [listed] $(#[$meta])* pub $name $($rest)* })*
        /// The elements of this module.
        pub(crate) const $list: &[&$crate::ElementDeclaration] =
            &[$(<$name as $crate::Element>::DECLARATION),*];
    };
}

/// Declares flows of this very crate and lists them, see [`listed_elements!`].
macro_rules! listed_flows {
    ($list:ident: $($kind:ident ($name:ident $($rest:tt)*))*) => {
        $($crate::$kind! { @how [listed] $name $($rest)* })*
        /// The flows of this module.
        pub(crate) const $list: &[&$crate::FlowDeclaration] =
            &[$(<$name as $crate::DeclaredFlow>::DECLARATION),*];
    };
}

pub(crate) use {listed_elements, listed_flows};
