//! Sessions and Socket.IO over transports in memory, under paused time.

#[cfg(test)]
mod acks;
#[cfg(test)]
mod application;
#[cfg(test)]
mod delivery;
#[cfg(test)]
mod dismissal;
#[cfg(test)]
mod endings;
#[cfg(test)]
mod hand_over;
#[cfg(test)]
mod namespaces;
#[cfg(test)]
mod observer;
#[cfg(test)]
mod official;
#[cfg(test)]
mod places;
#[cfg(test)]
mod polling;
#[cfg(test)]
mod questions;
#[cfg(test)]
mod recorder;
#[cfg(test)]
mod recovery;
#[cfg(test)]
mod remote;
#[cfg(test)]
mod room_watch;
#[cfg(test)]
mod slow;
#[cfg(test)]
mod transport;
#[cfg(test)]
mod upgrade;
#[cfg(test)]
mod upgrade_traffic;
#[cfg(test)]
mod websocket;
