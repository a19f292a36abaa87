//! A backplane that can be taken down, and whose order of messages can be scripted.

use std::{
    collections::VecDeque,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use bytestring::ByteString;
use carillon_backplane::{
    Announcement, Backplane, Fanout, Health, Missed, NodeTag, Peers, Placement, Presence, Recovery, Result,
    RouteError, Routing, Selection, SessionRecord, SocketSummary, Unavailable, local::LocalBackplane,
};
use carillon_protocol::{
    adapter::{Broadcast, Offset},
    id::{Room, UserId},
    presence::OnlineUser,
    time::Timestamp,
    value::Value,
};
use parking_lot::Mutex;

pub(crate) struct FlakyBackplane {
    inner: LocalBackplane,
    down: AtomicBool,
    cut: AtomicBool,
    order: Mutex<Order>,
}

/// What the order of a chat's messages is said to be.
#[derive(Debug, Default)]
struct Order {
    script: VecDeque<Placement>,
    asked: Vec<u64>,
    settled: Vec<u64>,
    known: Option<u64>,
}

impl FlakyBackplane {
    pub(super) fn new(inner: LocalBackplane) -> Self {
        Self {
            inner,
            down: AtomicBool::new(false),
            cut: AtomicBool::new(false),
            order: Mutex::default(),
        }
    }

    pub(crate) fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::SeqCst);
    }

    /// The other nodes are out of reach: only this node's sockets are told anything.
    pub(crate) fn set_cut(&self, cut: bool) {
        self.cut.store(cut, Ordering::SeqCst);
    }

    fn is_cut(&self) -> bool {
        self.cut.load(Ordering::SeqCst)
    }

    /// What the next messages in order are answered; after that all are placed.
    pub(crate) fn script(&self, placements: impl IntoIterator<Item = Placement>) {
        self.order.lock().script.extend(placements);
    }

    /// Up to where a chat is said to be published, until that is to be forgotten.
    pub(crate) fn set_order(&self, known: u64) {
        self.order.lock().known = Some(known);
    }

    /// The `seq`s that were to be published, and those that were settled, since the last call.
    pub(crate) fn take_order(&self) -> (Vec<u64>, Vec<u64>) {
        let mut order = self.order.lock();
        (
            std::mem::take(&mut order.asked),
            std::mem::take(&mut order.settled),
        )
    }

    fn up(&self) -> Result<&LocalBackplane> {
        if self.down.load(Ordering::SeqCst) {
            return Err(Unavailable {
                reason: "taken down".to_owned(),
            });
        }
        Ok(&self.inner)
    }
}

#[async_trait]
impl Fanout for FlakyBackplane {
    async fn publish(&self, broadcast: Broadcast) -> Result<Placement> {
        let inner = self.up()?;
        let placement = inner.publish(broadcast).await?;
        Ok(if self.is_cut() {
            Placement::Local
        } else {
            placement
        })
    }

    async fn publish_in_order(&self, chat: &str, seq: u64, broadcasts: Vec<Broadcast>) -> Result<Placement> {
        let inner = self.up()?;
        let scripted = {
            let mut order = self.order.lock();
            order.asked.push(seq);
            order.script.pop_front()
        };
        match scripted {
            None if self.is_cut() => {
                inner.publish_in_order(chat, seq, broadcasts).await?;
                Ok(Placement::Local)
            }
            None | Some(Placement::Placed) => inner.publish_in_order(chat, seq, broadcasts).await,
            Some(other) => Ok(other),
        }
    }

    async fn settle_order(&self, chat: &str, published: u64) -> Result<()> {
        self.order.lock().settled.push(published);
        self.up()?.settle_order(chat, published).await
    }

    async fn order(&self, _chat: &str) -> Result<Option<u64>> {
        self.up()?;
        Ok(self.order.lock().known)
    }

    async fn forget_order(&self, _chat: &str, published: u64) -> Result<()> {
        self.up()?;
        let mut order = self.order.lock();
        order.known = order.known.filter(|known| *known != published);
        Ok(())
    }

    fn occupied(&self, room: &Room) {
        self.inner.occupied(room);
    }

    fn vacated(&self, room: &Room) {
        self.inner.vacated(room);
    }

    async fn attend(&self, rooms: &[Room]) -> Result<()> {
        self.up()?.attend(rooms).await
    }
}

#[async_trait]
impl Presence for FlakyBackplane {
    async fn connect(&self, user: &UserId, at: Timestamp) -> Result<bool> {
        Presence::connect(self.up()?, user, at).await
    }

    async fn disconnect(&self, user: &UserId) -> Result<bool> {
        Presence::disconnect(self.up()?, user).await
    }

    async fn settle(&self, user: &UserId) -> Result<bool> {
        self.up()?.settle(user).await
    }

    async fn online(&self) -> Result<Vec<OnlineUser>> {
        self.up()?.online().await
    }

    async fn announce(&self, announcements: Vec<Announcement>) -> Result<Vec<bool>> {
        self.up()?.announce(announcements).await
    }
}

#[async_trait]
impl Recovery for FlakyBackplane {
    async fn head(&self) -> Result<Offset> {
        self.up()?.head().await
    }

    async fn keep(&self, record: SessionRecord) -> Result<()> {
        self.up()?.keep(record).await
    }

    async fn lost(&self, pid: &str) -> Result<()> {
        self.up()?.lost(pid).await
    }

    async fn forget(&self, pid: &str) -> Result<()> {
        self.up()?.forget(pid).await
    }

    fn handed_over(&self, pid: &str) {
        self.inner.handed_over(pid);
    }

    async fn find(&self, pid: &str) -> Result<Option<SessionRecord>> {
        self.up()?.find(pid).await
    }

    async fn take(&self, pid: &str) -> Result<Option<SessionRecord>> {
        self.up()?.take(pid).await
    }

    async fn missed(&self, offset: Offset, rooms: &[Room]) -> Result<Option<Vec<Missed>>> {
        self.up()?.missed(offset, rooms).await
    }
}

#[async_trait]
impl Routing for FlakyBackplane {
    fn tag(&self) -> &NodeTag {
        self.inner.tag()
    }

    fn new_sid(&self) -> ByteString {
        self.inner.new_sid()
    }

    fn new_socket_id(&self) -> ByteString {
        self.inner.new_socket_id()
    }

    fn node_of(&self, sid: &str) -> Option<NodeTag> {
        self.inner.node_of(sid)
    }

    fn is_alive(&self, node: &str) -> bool {
        self.inner.is_alive(node)
    }

    async fn request(
        &self,
        node: &NodeTag,
        body: Bytes,
        timeout: Duration,
    ) -> std::result::Result<Bytes, RouteError> {
        self.inner.request(node, body, timeout).await
    }

    fn has_fences(&self) -> bool {
        self.inner.has_fences()
    }

    async fn fence(&self, node: &NodeTag, id: &str) -> Result<()> {
        self.up()?.fence(node, id).await
    }
}

#[async_trait]
impl Peers for FlakyBackplane {
    async fn server_count(&self) -> Result<usize> {
        self.up()?.server_count().await
    }

    async fn fetch_sockets(&self, selection: &Selection) -> Result<Vec<SocketSummary>> {
        self.up()?.fetch_sockets(selection).await
    }

    async fn join(&self, selection: &Selection, rooms: &[Room]) -> Result<()> {
        Peers::join(self.up()?, selection, rooms).await
    }

    async fn leave(&self, selection: &Selection, rooms: &[Room]) -> Result<()> {
        Peers::leave(self.up()?, selection, rooms).await
    }

    async fn disconnect(&self, selection: &Selection, close: bool) -> Result<()> {
        Peers::disconnect(self.up()?, selection, close).await
    }

    async fn ask(&self, broadcast: Broadcast, timeout: Duration) -> Result<Vec<Value>> {
        self.up()?.ask(broadcast, timeout).await
    }

    async fn server_side_emit(&self, nsp: &str, args: Vec<Value>) -> Result<()> {
        self.up()?.server_side_emit(nsp, args).await
    }

    async fn server_side_ask(&self, nsp: &str, args: Vec<Value>) -> Result<Vec<Value>> {
        self.up()?.server_side_ask(nsp, args).await
    }
}

impl Backplane for FlakyBackplane {
    fn health(&self) -> Health {
        Health {
            is_up: !self.down.load(Ordering::SeqCst) && !self.is_cut(),
            ..self.inner.health()
        }
    }
}
