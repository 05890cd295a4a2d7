//! Binds a function to an arrow: the ends are read from the parameter types.

use std::marker::PhantomData;

use crate::{Element, ElementDeclaration, FlowDeclaration, Sink, Source};

type Elements = &'static [&'static ElementDeclaration];

/// A source, or a tuple of sources.
pub trait SourceEnd {
    /// The elements read from.
    const ELEMENTS: Elements;
}

/// A sink, or a tuple of sinks.
pub trait SinkEnd {
    /// The elements written to.
    const ELEMENTS: Elements;
}

impl<E: Element, C> SourceEnd for Source<E, C> {
    const ELEMENTS: Elements = &[E::DECLARATION];
}

impl<E: Element, C> SinkEnd for Sink<E, C> {
    const ELEMENTS: Elements = &[E::DECLARATION];
}

macro_rules! ends_of_tuples {
    ($(($($element:ident $connection:ident),+))+) => {$(
        impl<$($element: Element, $connection),+> SourceEnd for ($(Source<$element, $connection>,)+) {
            const ELEMENTS: Elements = &[$($element::DECLARATION),+];
        }
        impl<$($element: Element, $connection),+> SinkEnd for ($(Sink<$element, $connection>,)+) {
            const ELEMENTS: Elements = &[$($element::DECLARATION),+];
        }
    )+};
}
ends_of_tuples! { (A P, B Q) (A P, B Q, D R) (A P, B Q, D R, E S) }

/// A function that carries a flow: `(source, sink)` first, then up to two more arguments; async or
/// not. `Arguments` is the tuple of its parameters and is always inferred.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot carry a flow",
    note = "its first parameter must be a `Source<…>` and its second a `Sink<…>` (or tuples of them)"
)]
pub trait Carrier<Arguments> {
    /// The source, or the tuple of sources, it takes.
    type From: SourceEnd;
    /// The sink, or the tuple of sinks, it takes.
    type To: SinkEnd;
    /// Its further arguments: `()` for none, the argument itself for one, a pair for two.
    type Extra;
    /// What it returns; a future when it is async.
    type Returns;

    /// Calls the function.
    fn carry(self, from: Self::From, to: Self::To, extra: Self::Extra) -> Self::Returns;
}

impl<F, From, To, Returns> Carrier<(From, To)> for F
where
    F: FnOnce(From, To) -> Returns,
    From: SourceEnd,
    To: SinkEnd,
{
    type From = From;
    type To = To;
    type Extra = ();
    type Returns = Returns;

    fn carry(self, from: From, to: To, (): ()) -> Returns {
        self(from, to)
    }
}

impl<F, From, To, Extra, Returns> Carrier<(From, To, Extra)> for F
where
    F: FnOnce(From, To, Extra) -> Returns,
    From: SourceEnd,
    To: SinkEnd,
{
    type From = From;
    type To = To;
    type Extra = Extra;
    type Returns = Returns;

    fn carry(self, from: From, to: To, extra: Extra) -> Returns {
        self(from, to, extra)
    }
}

impl<F, From, To, First, Second, Returns> Carrier<(From, To, First, Second)> for F
where
    F: FnOnce(From, To, First, Second) -> Returns,
    From: SourceEnd,
    To: SinkEnd,
{
    type From = From;
    type To = To;
    type Extra = (First, Second);
    type Returns = Returns;

    fn carry(self, from: From, to: To, (first, second): (First, Second)) -> Returns {
        self(from, to, first, second)
    }
}

/// Where the data of this function comes from.
#[doc(hidden)]
#[must_use]
pub const fn sources_of<Arguments, F: Carrier<Arguments>>(_function: &F) -> Elements {
    F::From::ELEMENTS
}

/// Where the data of this function goes.
#[doc(hidden)]
#[must_use]
pub const fn sinks_of<Arguments, F: Carrier<Arguments>>(_function: &F) -> Elements {
    F::To::ELEMENTS
}

/// The type every declaring macro makes beside the flow, under the flow's own name.
pub trait DeclaredFlow {
    /// The flow.
    const DECLARATION: &'static FlowDeclaration;
}

/// A function together with the flow it was declared to carry; made by
/// [`declared!`](crate::declared), which does not compile for a function without a `flow!`.
#[derive(Clone, Copy)]
pub struct Declared<F> {
    pub(crate) function: F,
    pub(crate) flow: &'static FlowDeclaration,
}

impl<F> Declared<F> {
    /// What [`declared!`](crate::declared) expands to.
    #[doc(hidden)]
    pub const fn new<Flow: DeclaredFlow>(function: F, _flow: PhantomData<Flow>) -> Self {
        Self { function, flow: Flow::DECLARATION }
    }

    /// Id of the flow.
    #[must_use]
    pub const fn id(&self) -> &'static str {
        self.flow.id
    }
}
