//! Connecting.
use super::Conninfo;
use super::cancel::CancelHandle;
use super::channel::Channel;
use crate::error::Result;
use crate::pg::ServerVersion;

pub(super) struct Established {
    pub(super) channel: Channel,
    pub(super) version: ServerVersion,
    pub(super) process_id: i32,
    pub(super) cancel: CancelHandle,
    pub(super) peer: String,
}

pub(super) async fn establish(_conninfo: &Conninfo) -> Result<Established> {
    unimplemented!()
}
