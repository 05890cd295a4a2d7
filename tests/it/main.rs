//! One binary, one file per behaviour.
