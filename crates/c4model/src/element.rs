//! What stands in a diagram: people, systems, containers.

use serde::{Deserialize, Serialize};

/// How an element is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// A rounded box: somebody.
    Person,
    /// A rectangle: something that runs.
    Service,
    /// A cylinder: rows at rest.
    Database,
    /// A cylinder in the lake's colour: files at rest.
    Bucket,
    /// A lying cylinder: messages on their way.
    Queue,
}

/// The level of the C4 model an element belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Somebody who uses or runs the systems.
    Person,
    /// A border around systems that belong together; drawn, but not a system itself.
    Group,
    /// Something a team owns and runs as one.
    System,
    /// Something outside the organization.
    External,
    /// A part of a system that runs or stores by itself.
    Container,
}

/// What is said about an element. Text left empty is not stated.
#[derive(Debug, Clone, Copy)]
pub struct ElementFacts {
    /// Stable slug, lower case with underscores; links and diffs hang on it.
    pub id: &'static str,
    /// Name as people say it.
    pub name: &'static str,
    /// How it is drawn.
    pub shape: Shape,
    /// Technology, e.g. `PostgreSQL (RDS)`.
    pub tech: &'static str,
    /// Team that answers for it.
    pub owner: &'static str,
    /// What it is for, in one line.
    pub summary: &'static str,
    /// Cargo package whose functions run inside this element: a live flow declared in that package
    /// is drawn through this element.
    pub package: &'static str,
    /// Where to read on.
    pub links: &'static [&'static str],
    /// Earlier ids, so that links and diffs survive a renaming.
    pub was: &'static [&'static str],
    /// Whether it exists.
    pub status: crate::Status,
}

impl ElementFacts {
    /// Nothing stated; what the macro starts from.
    #[doc(hidden)]
    pub const UNSTATED: Self = Self {
        id: "",
        name: "",
        shape: Shape::Service,
        tech: "",
        owner: "",
        summary: "",
        package: "",
        links: &[],
        was: &[],
        status: crate::Status::Live,
    };

    /// These facts, where silent completed by those of the family.
    #[doc(hidden)]
    #[must_use]
    pub const fn completed_by(mut self, family: &Self) -> Self {
        self.shape = family.shape;
        if self.tech.is_empty() {
            self.tech = family.tech;
        }
        if self.owner.is_empty() {
            self.owner = family.owner;
        }
        self
    }

    /// Stops the compiler at an element that says too little to be drawn.
    #[doc(hidden)]
    #[must_use]
    pub const fn checked(self) -> Self {
        assert!(!self.id.is_empty(), "an element needs an id");
        assert!(!self.name.is_empty(), "an element needs a name");
        assert!(!self.summary.is_empty(), "an element needs a summary: what is it for?");
        self
    }
}

/// An element as declared.
#[derive(Debug, Clone, Copy)]
pub struct ElementDeclaration {
    /// Level of the C4 model.
    pub level: Level,
    /// The element it is drawn inside.
    pub parent: Option<&'static ElementDeclaration>,
    /// The family it is a deployment of, and the deployment's name in the inventory.
    pub deployment_of: Option<(&'static ElementDeclaration, &'static str)>,
    /// Whether it stands for many deployments, each declared by itself.
    pub is_family: bool,
    /// What is said about it.
    pub facts: ElementFacts,
}

/// A type that stands for an element; made by [`element!`](crate::element).
pub trait Element: Send + Sync + 'static {
    /// The element this type stands for.
    const DECLARATION: &'static ElementDeclaration;
}

/// An element that exists once: its endpoint needs no deployment name.
pub trait Single: Element {}

/// An element that stands for many deployments of the same kind, e.g. every application's
/// PostgreSQL. The deployment is bound at run time, see
/// [`Endpoint::of_deployment`](crate::Endpoint::of_deployment).
pub trait Family: Element {}
