//! The elements of the MIT Open Learning data platform, and the flows of the systems in it that
//! are not ours. A flow of ours stands beside its function, in the crate that carries it out.
//!
//! Facts about the systems of others come from the platform's public repositories and documents;
//! what could not be opened from here is stated as [`said`](crate::external) and drawn as not
//! verified.

pub mod applications;
pub mod data_platform;
pub mod flows;
pub mod people;

use crate::{ElementDeclaration, FlowDeclaration};

/// Every element of the platform.
pub(crate) const ELEMENTS: &[&[&ElementDeclaration]] = &[PEOPLE, APPLICATIONS, DATA_PLATFORM];

/// Every flow of the systems that are not ours, and every planned one.
pub(crate) const FLOWS: &[&[&FlowDeclaration]] = &[
    flows::applications::APPLICATIONS,
    flows::attached::ATTACHED,
    flows::data_platform::DATA_PLATFORM,
    flows::planned::PLANNED,
    flows::retiring::RETIRING,
];

pub use applications::*;
pub use data_platform::*;
pub use people::*;
