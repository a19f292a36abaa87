//! The Redis backplane against real servers, which each test starts for itself.

#[cfg(test)]
mod announcing;
#[cfg(test)]
mod cluster;
#[cfg(test)]
mod contract;
#[cfg(test)]
mod fanout;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod inspection;
#[cfg(test)]
mod malformed;
#[cfg(test)]
mod peers;
#[cfg(test)]
mod presence;
#[cfg(test)]
mod records;
#[cfg(test)]
mod recovery;
#[cfg(test)]
mod routing;
#[cfg(test)]
mod server;
#[cfg(test)]
mod sharded;
#[cfg(test)]
mod support;
#[cfg(test)]
mod way;
