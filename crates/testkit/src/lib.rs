//! Private servers and oracles for tests.
