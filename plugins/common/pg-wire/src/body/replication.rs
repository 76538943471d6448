//! What CopyData carries on a replication connection (PostgreSQL docs: "Streaming Replication
//! Protocol"). Positions are bytes of WAL; times are microseconds since 2000-01-01 UTC.

use nom::Parser;
use nom::combinator::map;

use super::read::{bad, byte, rest, string, uint32, uint64, whole};
use super::{BodyError, Private};

/// From the server, after `START_REPLICATION`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ServerMessage<'a> {
    /// `w`
    XLogData {
        /// Of the first byte of `data`.
        start: u64,
        /// The end of WAL on the server.
        end: u64,
        /// When it was sent.
        sent: i64,
        /// WAL, or a message of a logical decoding plugin.
        data: Private<'a>,
    },
    /// `k`
    PrimaryKeepalive {
        /// The end of WAL on the server.
        end: u64,
        /// When it was sent.
        sent: i64,
        /// An answer is wanted at once.
        reply: bool,
    },
}

impl<'a> ServerMessage<'a> {
    /// Parses the data of a CopyData.
    pub fn read(data: &'a [u8]) -> Result<Self, BodyError> {
        whole(data, |input| match byte(input)? {
            (left, b'w') => map(
                (uint64, uint64, uint64, rest),
                |(start, end, sent, data)| Self::XLogData {
                    start,
                    end,
                    sent: sent.cast_signed(),
                    data: Private(data),
                },
            )
            .parse(left),
            (left, b'k') => map((uint64, uint64, byte), |(end, sent, reply)| {
                Self::PrimaryKeepalive {
                    end,
                    sent: sent.cast_signed(),
                    reply: reply != 0,
                }
            })
            .parse(left),
            _ => bad("kind of a replication message"),
        })
    }
}

/// From the standby.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum StandbyMessage {
    /// `r`: positions are one past the last byte.
    StandbyStatusUpdate {
        /// Received and written.
        written: u64,
        /// Flushed to disk.
        flushed: u64,
        /// Applied.
        applied: u64,
        /// When it was sent.
        sent: i64,
        /// An answer is wanted at once.
        reply: bool,
    },
    /// `h`
    HotStandbyFeedback {
        /// When it was sent.
        sent: i64,
        /// Oldest transaction of the standby, 0 for none, and its epoch.
        xmin: (u32, u32),
        /// The same for catalogs.
        catalog_xmin: (u32, u32),
    },
}

impl StandbyMessage {
    /// Parses the data of a CopyData.
    pub fn read(data: &[u8]) -> Result<Self, BodyError> {
        whole(data, |input| match byte(input)? {
            (left, b'r') => map(
                (uint64, uint64, uint64, uint64, byte),
                |(written, flushed, applied, sent, reply)| Self::StandbyStatusUpdate {
                    written,
                    flushed,
                    applied,
                    sent: sent.cast_signed(),
                    reply: reply != 0,
                },
            )
            .parse(left),
            (left, b'h') => map(
                (uint64, (uint32, uint32), (uint32, uint32)),
                |(sent, xmin, catalog_xmin)| Self::HotStandbyFeedback {
                    sent: sent.cast_signed(),
                    xmin,
                    catalog_xmin,
                },
            )
            .parse(left),
            _ => bad("kind of a standby message"),
        })
    }
}

/// From the server, after `BASE_BACKUP`, since version 15.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum BackupMessage<'a> {
    /// `n`: an archive begins.
    NewArchive {
        /// The archive's file name.
        name: &'a [u8],
        /// Path of its tablespace; empty for the main one.
        tablespace: &'a [u8],
    },
    /// `m`: the manifest begins.
    Manifest,
    /// `d`: of the archive or manifest.
    Data(Private<'a>),
    /// `p`: bytes done so far.
    Progress(u64),
}

impl<'a> BackupMessage<'a> {
    /// Parses the data of a CopyData.
    pub fn read(data: &'a [u8]) -> Result<Self, BodyError> {
        whole(data, |input| match byte(input)? {
            (left, b'n') => map((string, string), |(name, tablespace)| Self::NewArchive {
                name,
                tablespace,
            })
            .parse(left),
            (left, b'm') => Ok((left, Self::Manifest)),
            (left, b'd') => map(rest, |data| Self::Data(Private(data))).parse(left),
            (left, b'p') => map(uint64, Self::Progress).parse(left),
            _ => bad("kind of a backup message"),
        })
    }
}
