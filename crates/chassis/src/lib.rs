//! What every binary stands on: configuration, secrets, telemetry, clock, shutdown, exit codes.
