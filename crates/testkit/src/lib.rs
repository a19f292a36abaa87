//! Tests of Carillon as a whole. `tests/` holds what is asked of the workspace; `node/` starts the built binary and drives
//! it with the official JavaScript client, with `fetch` and with bytes by hand. Nothing else in the workspace uses it.
