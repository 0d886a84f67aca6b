//! Data compressed piece by piece: pieces that lie behind each other are one stream to whoever reads
//! them, and each can be read by itself.
//!
//! In a folder's file they are gzip members, or frames. In a custom file data lies in blocks, and
//! readers drop what follows a frame in its block, so each piece has blocks of its own; and gzip is
//! one zlib stream there (source: compress_gzip.c, which goes on inflating after its end), so pieces
//! are runs of deflate blocks that end at a byte.

use std::io::{self, Write};

use flate2::write::{GzEncoder, ZlibEncoder};
use flate2::{Compress, FlushCompress, Status};
use lz4_flex::frame::FrameEncoder;

use super::super::format::compressing::Laying;
use super::super::format::header::{Compression, Layout};
use super::super::format::numbers::write_int;

/// The size of a custom file's blocks.
const BLOCK: usize = 128 << 10;
const ZSTD_LEVEL: i32 = 3;
/// What a zstd frame holds, uncompressed.
const FRAME: usize = 4 << 20;

/// What a piece is to those around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// A stream of its own.
    Whole,
    /// A part of a stream: what it begins and ends with, others write.
    Part,
    /// A part after which nothing comes but the stream's own end.
    LastPart,
}

/// Compresses a piece.
pub(super) enum Encoder<W: Write> {
    Plain(Framed<W>),
    Gzip(GzEncoder<Framed<W>>),
    Zlib(ZlibEncoder<Framed<W>>),
    Deflate(Deflate<Framed<W>>),
    Lz4(Box<FrameEncoder<Framed<W>>>),
    Zstd(Zstd<Framed<W>>),
}

impl<W: Write> Encoder<W> {
    pub(super) fn new(to: W, laying: Laying, extent: Extent) -> io::Result<Encoder<W>> {
        let in_blocks = laying.layout == Layout::Custom;
        let to = match in_blocks {
            true => Framed::Blocks { to, block: Vec::with_capacity(BLOCK) },
            false => Framed::Bare(to),
        };
        let level = laying.compressing.level;
        let gzip_level =
            level.map_or(flate2::Compression::default(), |n| flate2::Compression::new(n as u32));
        Ok(match laying.compressing.by {
            Compression::None => Encoder::Plain(to),
            Compression::Gzip if !in_blocks => Encoder::Gzip(GzEncoder::new(to, gzip_level)),
            Compression::Gzip if extent == Extent::Whole => {
                Encoder::Zlib(ZlibEncoder::new(to, gzip_level))
            }
            Compression::Gzip => Encoder::Deflate(Deflate {
                to,
                compress: Compress::new(gzip_level, false),
                buffer: Vec::with_capacity(BLOCK),
                is_last: extent == Extent::LastPart,
            }),
            Compression::Lz4 => Encoder::Lz4(Box::new(FrameEncoder::new(to))),
            Compression::Zstd => Encoder::Zstd(Zstd::new(to, level.unwrap_or(ZSTD_LEVEL))?),
        })
    }

    /// Ends the piece; gives back where it was written.
    pub(super) fn finish(self) -> io::Result<W> {
        let to = match self {
            Encoder::Plain(to) => to,
            Encoder::Gzip(encoder) => encoder.finish()?,
            Encoder::Zlib(encoder) => encoder.finish()?,
            Encoder::Deflate(deflate) => deflate.finish()?,
            Encoder::Lz4(encoder) => encoder.finish().map_err(io::Error::other)?,
            Encoder::Zstd(encoder) => encoder.finish()?,
        };
        to.finish()
    }
}

impl<W: Write> Write for Encoder<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Encoder::Plain(to) => to.write(bytes),
            Encoder::Gzip(to) => to.write(bytes),
            Encoder::Zlib(to) => to.write(bytes),
            Encoder::Deflate(to) => to.run(bytes, FlushCompress::None).map(|()| bytes.len()),
            Encoder::Lz4(to) => to.write(bytes),
            Encoder::Zstd(to) => to.take(bytes),
        }
    }

    /// Nothing is passed on before its time: that would be worse compressed.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Where compressed bytes go: as they are, or in blocks, each behind its length
/// (source: pg_backup_custom.c, _CustomWriteFunc).
pub(super) enum Framed<W: Write> {
    Bare(W),
    Blocks { to: W, block: Vec<u8> },
}

impl<W: Write> Framed<W> {
    /// Ends the block: what comes next begins one of its own.
    fn end_block(&mut self) -> io::Result<()> {
        if let Framed::Blocks { to, block } = self {
            write_block(to, block)?;
            block.clear();
        }
        Ok(())
    }

    fn finish(mut self) -> io::Result<W> {
        self.end_block()?;
        match self {
            Framed::Bare(to) | Framed::Blocks { to, .. } => Ok(to),
        }
    }
}

/// Writes bytes as a block; of none there is no block, as an empty one ends the data.
pub(super) fn write_block(to: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    if bytes.is_empty() {
        return Ok(());
    }
    write_int(to, i32::try_from(bytes.len()).map_err(io::Error::other)?)?;
    to.write_all(bytes)
}

impl<W: Write> Write for Framed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Framed::Bare(to) => to.write(bytes),
            Framed::Blocks { block, .. } => {
                let taken = bytes.len().min(BLOCK - block.len());
                block.extend_from_slice(&bytes[..taken]);
                if block.len() == BLOCK {
                    self.end_block()?;
                }
                Ok(taken)
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Frames that are compressed from memory: that takes three quarters of the time of a stream, whose
/// window wraps around in its buffer, and comes out smaller.
pub(super) struct Zstd<W: Write> {
    to: W,
    compressor: zstd::bulk::Compressor<'static>,
    frame: Vec<u8>,
    is_begun: bool,
}

impl<W: Write> Zstd<Framed<W>> {
    fn new(to: Framed<W>, level: i32) -> io::Result<Zstd<Framed<W>>> {
        let compressor = zstd::bulk::Compressor::new(level)?;
        Ok(Zstd { to, compressor, frame: Vec::new(), is_begun: false })
    }

    fn take(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(FRAME - self.frame.len());
        self.frame.extend_from_slice(&bytes[..taken]);
        if self.frame.len() == FRAME {
            self.end_frame()?;
        }
        Ok(taken)
    }

    fn end_frame(&mut self) -> io::Result<()> {
        let compressed = self.compressor.compress(&self.frame)?;
        self.frame.clear();
        self.is_begun = true;
        self.to.write_all(&compressed)?;
        self.to.end_block()
    }

    /// Nothing at all is a frame, too.
    fn finish(mut self) -> io::Result<Framed<W>> {
        if !self.frame.is_empty() || !self.is_begun {
            self.end_frame()?;
        }
        Ok(self.to)
    }
}

/// Deflate without a header or a checksum.
pub(super) struct Deflate<W: Write> {
    to: W,
    compress: Compress,
    buffer: Vec<u8>,
    is_last: bool,
}

impl<W: Write> Deflate<W> {
    fn run(&mut self, mut bytes: &[u8], flush: FlushCompress) -> io::Result<()> {
        loop {
            let before = self.compress.total_in();
            self.buffer.clear();
            let status = self.compress.compress_vec(bytes, &mut self.buffer, flush)?;
            bytes = &bytes[(self.compress.total_in() - before) as usize..];
            self.to.write_all(&self.buffer)?;
            let has_room = self.buffer.len() < self.buffer.capacity();
            let is_done = match flush {
                FlushCompress::Finish => status == Status::StreamEnd,
                _ => bytes.is_empty() && has_room,
            };
            if is_done {
                return Ok(());
            }
        }
    }

    fn finish(mut self) -> io::Result<W> {
        let flush = if self.is_last { FlushCompress::Finish } else { FlushCompress::Sync };
        self.run(&[], flush)?;
        Ok(self.to)
    }
}
