//! This node's lease: as long as it is renewed, the node counts as alive.

use super::{
    RedisBackplane,
    commands::{first_and_rest, unreadable},
    lifetimes,
    members::Lease,
    millis,
    routing::Frame,
};
use crate::{NodeTag, Result, Unavailable};

impl RedisBackplane {
    /// Renews this node's lease and sees who else lives. Answers whether the lease had not lapsed.
    pub(super) async fn renew_lease(&self) -> Result<bool> {
        let mut call = self.scripts.renew.key(self.names.nodes());
        call.arg(&*self.tag).arg(millis(self.lifetimes.lease()));
        let (had_lease, listed): (bool, Vec<redis::Value>) =
            first_and_rest(self.commands.script(&call).await?)?;
        let mut leases = Vec::new();
        for pair in listed.chunks_exact(2) {
            let [node, left] = pair else { continue };
            let node: String = redis::from_redis_value(node.clone()).map_err(unreadable)?;
            let left: i64 = redis::from_redis_value(left.clone()).map_err(unreadable)?;
            leases.push((NodeTag::from(node), Lease::from_millis(left)));
        }
        let deaths = self.members.update(leases);
        for node in &deaths.gone {
            self.routes.bury(node);
        }
        self.users.sweep_later(deaths.to_sweep);
        Ok(had_lease)
    }

    /// Gives the lease back. Other nodes see it at once; the users that are left have a while to come back on one of them.
    pub(super) async fn return_lease(&self) -> Result<()> {
        let channel = &self.membership_channel;
        let frame = self
            .seal(channel, &Frame::Membership)
            .ok_or_else(|| Unavailable::new("a frame cannot be sealed"))?;
        let mut call = self.scripts.leave.key(self.names.nodes());
        call.key(self.names.users_of(&self.tag))
            .arg(&*self.tag)
            .arg(millis(lifetimes::LEAVING))
            .arg(self.codec.publishing())
            .arg(channel)
            .arg(&*frame)
            .arg(self.names.users());
        self.commands.script(&call).await
    }
}
