//! What the tests of the crate share with those beside it.

#[path = "../tests/contract/databases.rs"]
pub(crate) mod databases;
#[path = "../tests/contract/samples.rs"]
pub(crate) mod samples;
