//! An archive's data decompressed: never more in memory than the algorithm's window, whatever a
//! stream claims to hold.

use std::io::{BufRead, Read};

use flate2::bufread::MultiGzDecoder;
use lz4_flex::frame::FrameDecoder;

use super::super::format::damage::cut_off;
use super::super::format::header::Compression;
use super::inflate::Inflate;

/// The largest window that is taken: 128 MB, which is the largest that zstd writes and reads unless
/// it is told otherwise.
const ZSTD_WINDOW_LOG: u32 = 27;

/// How data is coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::archive) enum Coding {
    /// Not at all.
    Plain,
    /// gzip members.
    Gzip,
    /// A zlib stream, which is what gzip's algorithm makes in a custom archive.
    Zlib,
    /// A part of such a stream.
    ZlibPart,
    /// LZ4 frames.
    Lz4,
    /// Zstandard frames.
    Zstd,
}

impl Coding {
    /// What is in a custom archive's blocks.
    pub(super) fn in_blocks(compression: Compression) -> Coding {
        match compression {
            Compression::None => Coding::Plain,
            Compression::Gzip => Coding::Zlib,
            Compression::Lz4 => Coding::Lz4,
            Compression::Zstd => Coding::Zstd,
        }
    }
}

/// What `from` holds, decompressed up to its end.
pub(in crate::archive) fn decoded<'a>(
    mut from: impl BufRead + Send + 'a,
    coding: Coding,
) -> std::io::Result<Box<dyn Read + Send + 'a>> {
    // Of an empty large object, pg_dump writes an empty file with LZ4 and Zstandard, but not with
    // gzip.
    let may_be_empty = !matches!(coding, Coding::Gzip | Coding::Zlib | Coding::ZlibPart);
    if from.fill_buf()?.is_empty() {
        return if may_be_empty { Ok(Box::new(from)) } else { Err(cut_off()) };
    }
    Ok(match coding {
        Coding::Plain => Box::new(from),
        Coding::Gzip => Box::new(MultiGzDecoder::new(from)),
        Coding::Zlib => Box::new(Inflate::whole(from)),
        Coding::ZlibPart => Box::new(Inflate::part(from)),
        Coding::Lz4 => Box::new(Lz4Frames::of(from)),
        Coding::Zstd => {
            let mut decoder = zstd::Decoder::with_buffer(from)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG)?;
            Box::new(decoder)
        }
    })
}

/// One LZ4 frame after the other. The decoder itself stops after each, and takes what is cut off for
/// an end; and its buffers have to have the size of its first frame's.
struct Lz4Frames<R: Read> {
    /// The decoder of a frame; none only while it gives way to the next one's.
    decoder: Option<FrameDecoder<Watched<R>>>,
    is_inside: bool,
}

impl<R: BufRead> Lz4Frames<R> {
    fn of(from: R) -> Lz4Frames<R> {
        let from = Watched { from, was_at_end: false };
        Lz4Frames { decoder: Some(FrameDecoder::new(from)), is_inside: false }
    }
}

impl<R: BufRead> Read for Lz4Frames<R> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        while let Some(decoder) = &mut self.decoder {
            let is_over = !self.is_inside && decoder.get_mut().from.fill_buf()?.is_empty();
            if is_over || into.is_empty() {
                return Ok(0);
            }
            self.is_inside = true;
            let read = decoder.read(into)?;
            if read > 0 {
                return Ok(read);
            }
            // Of a whole frame the decoder knows where it ends.
            if decoder.get_ref().was_at_end {
                return Err(cut_off());
            }
            self.is_inside = false;
            self.decoder =
                self.decoder.take().map(|decoder| FrameDecoder::new(decoder.into_inner()));
        }
        Ok(0)
    }
}

/// A reader that remembers whether somebody wanted more than there was.
struct Watched<R> {
    from: R,
    was_at_end: bool,
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let read = self.from.read(into)?;
        self.was_at_end |= read == 0 && !into.is_empty();
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};

    use super::*;

    #[test]
    fn frames_of_lz4_may_have_blocks_of_different_sizes() {
        let text: Vec<u8> = (0..300_000_u32).map(|n| (n % 251) as u8).collect();
        let sizes = [BlockSize::Max1MB, BlockSize::Max64KB, BlockSize::Max4MB, BlockSize::Max64KB];
        for mode in [BlockMode::Linked, BlockMode::Independent] {
            let mut frames = Vec::new();
            for size in sizes {
                let info = FrameInfo::new().block_size(size).block_mode(mode);
                let mut encoder = FrameEncoder::with_frame_info(info, Vec::new());
                encoder.write_all(&text).unwrap();
                frames.extend(encoder.finish().unwrap());
            }
            let mut read = Vec::new();
            decoded(frames.as_slice(), Coding::Lz4).unwrap().read_to_end(&mut read).unwrap();
            assert!(read == text.repeat(sizes.len()), "{mode:?}");
        }
    }

    #[test]
    fn streams_that_follow_each_other_in_a_file_are_one() {
        for (coding, compression) in [
            (Coding::Gzip, Compression::Gzip),
            (Coding::Lz4, Compression::Lz4),
            (Coding::Zstd, Compression::Zstd),
        ] {
            let parts = ["one", "", "two"].map(|text| {
                super::super::super::made::compressed(text.as_bytes(), compression, false)
            });
            let mut read = String::new();
            decoded(parts.concat().as_slice(), coding).unwrap().read_to_string(&mut read).unwrap();
            assert_eq!(read, "onetwo", "{coding:?}");
        }
    }

    #[test]
    fn what_takes_a_larger_window_than_zstd_does_by_itself_is_refused() {
        // A frame's head that asks for a window of 256 MB, and a block of no bytes.
        let frame = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x90, 0x01, 0x00, 0x00];
        let mut read = Vec::new();
        let result = decoded(frame.as_slice(), Coding::Zstd).unwrap().read_to_end(&mut read);
        assert!(result.is_err());
    }
}
