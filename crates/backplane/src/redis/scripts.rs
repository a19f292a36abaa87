//! The Lua scripts: what has to happen at one moment in Redis. Each file of `scripts/` says what it does.

use std::sync::Arc;

use redis::{Cmd, Script, ToRedisArgs};

macro_rules! script {
    ($($file:literal),+) => {
        Script::new(concat!($(include_str!(concat!("scripts/", $file, ".lua"))),+))
    };
}

/// All scripts.
#[derive(Debug)]
pub(super) struct Scripts {
    pub(super) publish: Arc<Script>,
    pub(super) publish_in_order: Arc<Script>,
    pub(super) announce: Arc<Script>,
    pub(super) commit: Script,
    pub(super) forget_order: Script,
    pub(super) epoch: Script,
    pub(super) fence: Arc<Script>,
    pub(super) head: Arc<Script>,
    pub(super) renew: Script,
    pub(super) leave: Script,
    pub(super) keep: Script,
    pub(super) end: Script,
    pub(super) expire: Script,
    pub(super) connect: Script,
    pub(super) disconnect: Script,
    pub(super) settle: Script,
    pub(super) sync: Script,
    pub(super) sweep: Script,
}

impl Scripts {
    pub(super) fn new() -> Self {
        Self {
            publish: Arc::new(script!("append", "publish")),
            publish_in_order: Arc::new(script!("append", "publish_in_order")),
            announce: Arc::new(script!("append", "announce")),
            commit: script!("commit"),
            forget_order: script!("forget_order"),
            epoch: script!("epoch"),
            fence: Arc::new(script!("fence")),
            head: Arc::new(script!("head")),
            renew: script!("clock", "renew"),
            leave: script!("clock", "leave"),
            keep: script!("session", "keep"),
            end: script!("session", "end"),
            expire: script!("session", "expire"),
            connect: script!("news", "connect"),
            disconnect: script!("held", "disconnect"),
            settle: script!("news", "held", "settle"),
            sync: script!("news", "held", "sync"),
            sweep: script!("clock", "news", "held", "sweep"),
        }
    }
}

/// A call of `script` by its hash, for a pipeline: arguments may be appended.
pub(super) fn call(script: &Script, keys: &[impl ToRedisArgs]) -> Cmd {
    let mut cmd = redis::cmd("EVALSHA");
    cmd.arg(script.get_hash()).arg(keys.len());
    for key in keys {
        cmd.arg(key);
    }
    cmd
}
