//! Declares the architecture: elements, flows and the evidence for each arrow.
