//! The servers: one, or the masters of a Redis Cluster, each with its slots.
//!
//! All of Carillon's own keys and channels are in one slot, on the home server. The channels of Socket.IO are where their
//! names put them.

use std::collections::HashMap;

use redis::{Client, ConnectionAddr, ConnectionInfo, Value, cluster_routing::Slot};

use super::{
    codec::Wire,
    commands::{in_time, unreadable},
};
use crate::{Result, Unavailable};

/// How many slots a Redis Cluster has.
const SLOTS: usize = 16_384;

#[derive(Debug)]
pub(super) struct Shards {
    servers: Vec<ConnectionInfo>,
    /// Which of the servers has a slot; `None` where there is but one server, and no cluster.
    by_slot: Option<HashMap<Slot, usize>>,
}

impl Shards {
    /// Looks which servers there are, asking one of `seeds` that answers.
    pub(super) async fn discover(seeds: &[ConnectionInfo], wire: Wire) -> Result<Self> {
        let mut last = Unavailable::new("there is no server to ask");
        for seed in seeds {
            match in_time(ask(seed, wire)).await {
                Ok(shards) => return Ok(shards),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    pub(super) fn servers(&self) -> &[ConnectionInfo] {
        &self.servers
    }

    /// Whether they are the masters of a Redis Cluster: then events have no total order.
    pub(super) const fn is_cluster(&self) -> bool {
        self.by_slot.is_some()
    }

    /// The number of the server that has `channel`, or a key of that name.
    pub(super) fn of(&self, channel: &str) -> usize {
        let by_slot = self.by_slot.as_ref();
        by_slot
            .and_then(|by_slot| by_slot.get(&Slot::for_key(channel)))
            .copied()
            .unwrap_or_default()
    }

    /// The server that has `channel`, or a key of that name.
    pub(super) fn server_of(&self, channel: &str) -> Result<&ConnectionInfo> {
        self.servers
            .get(self.of(channel))
            .ok_or_else(|| Unavailable::new("no server is known"))
    }

    /// A channel on each server for what `name` is for.
    pub(super) fn channels_for(&self, name: &str) -> Vec<String> {
        let named = |server| {
            // So many that even a single slot is hit.
            let mut tried = (0..16 * SLOTS).map(|n| format!("{{{n}}}{name}"));
            tried.find(|channel| self.of(channel) == server)
        };
        (0..self.servers.len()).filter_map(named).collect()
    }
}

async fn ask(seed: &ConnectionInfo, wire: Wire) -> Result<Shards> {
    let mut connection = Client::open(seed.clone())?
        .get_multiplexed_async_connection()
        .await?;
    let mut asked = redis::pipe();
    asked.cmd("INFO").arg("server").cmd("INFO").arg("cluster");
    let (server, cluster): (String, String) = asked.query_async(&mut connection).await?;
    check_version(&server, wire)?;
    if !cluster.contains("cluster_enabled:1") {
        return Ok(Shards {
            servers: vec![seed.clone()],
            by_slot: None,
        });
    }
    if wire == Wire::Classic {
        return Err(Unavailable::new(
            "a Redis Cluster needs the sharded adapter's wire; the classic one needs a single Redis",
        ));
    }
    let mut asked = redis::cmd("CLUSTER");
    asked.arg("SLOTS");
    let ranges: Vec<Value> = asked.query_async(&mut connection).await?;
    read_ranges(seed, ranges)
}

fn check_version(info: &str, wire: Wire) -> Result<()> {
    let version = info
        .lines()
        .find_map(|line| line.strip_prefix("redis_version:"))
        .and_then(|version| version.split('.').next()?.parse::<u32>().ok());
    let needed = match wire {
        Wire::Classic => 6,
        Wire::Sharded => 7,
    };
    if version.is_some_and(|version| version < needed) {
        return Err(Unavailable::new(format!("Redis {needed} or newer is needed")));
    }
    Ok(())
}

/// Reads what CLUSTER SLOTS answers: first and last slot, the master, its replicas.
fn read_ranges(seed: &ConnectionInfo, ranges: Vec<Value>) -> Result<Shards> {
    let mut servers: Vec<ConnectionInfo> = Vec::new();
    let mut by_slot = HashMap::new();
    for range in ranges {
        let range: Vec<Value> = redis::from_redis_value(range).map_err(unreadable)?;
        let [first, last, master, ..] = &*range else {
            return Err(Unavailable::new("the cluster's slots cannot be read"));
        };
        let first: u16 = redis::from_redis_value(first.clone()).map_err(unreadable)?;
        let last: u16 = redis::from_redis_value(last.clone()).map_err(unreadable)?;
        let master: Vec<Value> = redis::from_redis_value(master.clone()).map_err(unreadable)?;
        let server = server_at(seed, &master)?;
        let number = servers.iter().position(|known| known.addr() == server.addr());
        let number = number.unwrap_or_else(|| {
            servers.push(server);
            servers.len() - 1
        });
        by_slot.extend((first..=last).filter_map(Slot::new).map(|slot| (slot, number)));
    }
    if by_slot.len() < SLOTS {
        return Err(Unavailable::new("slots of the cluster have no master"));
    }
    Ok(Shards {
        servers,
        by_slot: Some(by_slot),
    })
}

/// The server of which the cluster says host and port; without a host it is the one that was asked.
fn server_at(seed: &ConnectionInfo, told: &[Value]) -> Result<ConnectionInfo> {
    let [host, port, ..] = told else {
        return Err(Unavailable::new("a master of the cluster cannot be read"));
    };
    let host: Option<String> = redis::from_redis_value(host.clone()).map_err(unreadable)?;
    let host = host.filter(|host| !host.is_empty() && host != "?");
    let port: u16 = redis::from_redis_value(port.clone()).map_err(unreadable)?;
    let addr = match seed.addr().clone() {
        ConnectionAddr::Tcp(asked, _) => ConnectionAddr::Tcp(host.unwrap_or(asked), port),
        ConnectionAddr::TcpTls {
            host: asked,
            insecure,
            tls_params,
            ..
        } => ConnectionAddr::TcpTls {
            host: host.unwrap_or(asked),
            port,
            insecure,
            tls_params,
        },
        other => other,
    };
    Ok(seed.clone().set_addr(addr))
}

#[cfg(test)]
mod tests {
    use super::*;
    use redis::IntoConnectionInfo as _;

    fn seed() -> ConnectionInfo {
        "redis://:secret@seed:7000".into_connection_info().unwrap()
    }

    fn range(first: i64, last: i64, host: Value, port: i64) -> Value {
        let master = Value::Array(vec![host, Value::Int(port), Value::SimpleString("id".to_owned())]);
        Value::Array(vec![Value::Int(first), Value::Int(last), master])
    }

    #[test]
    fn a_channel_is_on_the_server_that_has_its_slot() {
        let host = |name: &str| Value::BulkString(name.into());
        let ranges = vec![
            range(0, 9_999, host("a"), 1),
            range(10_000, 10_000, host("b"), 2),
            range(10_001, 16_383, Value::Nil, 1),
        ];
        let shards = read_ranges(&seed(), ranges).unwrap();
        let addrs: Vec<_> = shards
            .servers()
            .iter()
            .map(|server| server.addr().to_string())
            .collect();
        assert_eq!(addrs, ["a:1", "b:2", "seed:1"]);
        assert!(
            shards
                .servers()
                .iter()
                .all(|server| server.redis_settings().password() == Some("secret"))
        );
        let channels = shards.channels_for(":probe");
        assert_eq!(
            channels
                .iter()
                .map(|channel| shards.of(channel))
                .collect::<Vec<_>>(),
            [0, 1, 2]
        );
        assert_eq!(shards.of("{carillon}:node:x"), shards.of("{carillon}:nodes"));
    }

    #[test]
    fn a_cluster_with_holes_is_not_used() {
        let ranges = vec![range(0, 16_382, Value::Nil, 1)];
        assert!(read_ranges(&seed(), ranges).is_err());
        for odd in [
            Value::Nil,
            Value::Array(vec![]),
            Value::Array(vec![Value::Int(1), Value::Int(2), Value::Nil]),
        ] {
            assert!(read_ranges(&seed(), vec![odd]).is_err());
        }
    }

    #[test]
    fn old_servers_are_refused() {
        assert!(check_version("redis_version:7.0.15\r\n", Wire::Sharded).is_ok());
        assert!(check_version("redis_version:6.2.0\r\n", Wire::Sharded).is_err());
        assert!(check_version("redis_version:5.0.1\r\n", Wire::Classic).is_err());
        assert!(check_version("it says nothing", Wire::Classic).is_ok());
    }
}
