//! Validates JSON and locates its strings and brackets, 64 bytes at a time.
//!
//! Most of a review is irrelevant, but it has to be valid JSON to its end. A parser goes from token
//! to token and suffers a branch misprediction at each. Here a block of 64 bytes becomes a few bit
//! masks, one bit for each byte, and the grammar becomes a few operations on whole masks: which
//! token may precede which (white space is not accepted, so tokens are adjacent), and which commas
//! and colons are allowed between two brackets. Only brackets, numbers and escapes are visited one
//! by one.
//!
//! [`JsonScan::of`] returns `None` for every text that is not a JSON object, but also for some that
//! are: those with white space, or nested deeper than [`MAX_DEPTH`]. `serde_json` parses these.

use wide::u8x16;

/// The maximum number of open brackets.
const MAX_DEPTH: u32 = 60;
/// The number of bytes in a block.
const BLOCK: usize = 64;

/// The structure of a JSON object.
pub(super) struct JsonScan {
    blocks: Vec<BlockMasks>,
}

/// The structure of one block, one bit for each byte.
struct BlockMasks {
    /// The quotes that begin and end strings.
    quotes: u64,
    /// `{` and `[` outside of strings.
    opens: u64,
    /// `}` and `]` outside of strings.
    closes: u64,
}

/// The bytes of one block by class, one bit for each byte.
#[derive(Default)]
struct ByteClasses {
    quotes: u64,
    commas: u64,
    colons: u64,
    opens: u64,
    closes: u64,
    /// The brackets that belong to objects.
    curly: u64,
    backslashes: u64,
    controls: bool,
}

/// The state carried from block to block.
struct Scanner<'a> {
    text: &'a [u8],
    blocks: Vec<BlockMasks>,
    /// All ones inside a string.
    in_string: u64,
    /// The lowest bit is set if the first byte is escaped.
    escaped: u64,
    /// The tokens at the end of the previous block.
    before: PreviousBlock,
    /// The open brackets, the innermost in the lowest bit: 1 for an object. A sentinel 1 is above
    /// them.
    nesting: u64,
}

/// The class of the previous block's last byte, in the lowest bit of each field.
#[derive(Default)]
struct PreviousBlock {
    comma: u64,
    colon: u64,
    curly: u64,
    square: u64,
    string: u64,
    scalar: u64,
    close: u64,
    /// The kinds of strings, by the token before them. These continue in the next block …
    value_goes_on: bool,
    name_goes_on: bool,
    listed_goes_on: bool,
    /// … and these have just ended.
    value: u64,
    name: u64,
    listed: u64,
}

impl JsonScan {
    /// Scans a text, which must have no white space around it.
    pub(super) fn of(text: &str) -> Option<Self> {
        let text = text.as_bytes();
        if text.first() != Some(&b'{') {
            return None;
        }
        let mut scanner = Scanner {
            text,
            blocks: Vec::with_capacity(text.len().div_ceil(BLOCK)),
            in_string: 0,
            escaped: 0,
            before: PreviousBlock {
                colon: 1, // What comes first is a value.
                ..PreviousBlock::default()
            },
            nesting: 1,
        };
        let (whole, rest) = text.as_chunks::<BLOCK>();
        for (index, block) in whole.iter().enumerate() {
            scanner.block(index * BLOCK, block, BLOCK)?;
        }
        if !rest.is_empty() {
            let mut block = [b' '; BLOCK];
            block[..rest.len()].copy_from_slice(rest);
            scanner.block(text.len() - rest.len(), &block, rest.len())?;
        }
        (scanner.nesting == 1 && scanner.in_string == 0).then_some(Self {
            blocks: scanner.blocks,
        })
    }

    /// Returns the position of the quote that ends the string beginning at `start`.
    pub(super) fn string_end(&self, start: usize) -> Option<usize> {
        let next = start + 1;
        let mut index = next / BLOCK;
        let mut quotes = self.blocks.get(index)?.quotes & (u64::MAX << (next % BLOCK));
        while quotes == 0 {
            index += 1;
            quotes = self.blocks.get(index)?.quotes;
        }
        Some(index * BLOCK + quotes.trailing_zeros() as usize)
    }

    /// Returns the position of the bracket that closes the one at `start`.
    pub(super) fn bracket_end(&self, start: usize) -> Option<usize> {
        let mut depth = 0;
        let mut from = u64::MAX << (start % BLOCK);
        for (index, block) in self.blocks.iter().enumerate().skip(start / BLOCK) {
            let (opens, mut closes) = (block.opens & from, block.closes & from);
            from = u64::MAX;
            // The depth at a closing bracket is the number of brackets opened before it, less those
            // closed.
            let mut closed = 0;
            if depth <= closes.count_ones() {
                while closes != 0 {
                    let bit = closes & closes.wrapping_neg();
                    closed += 1;
                    if depth + (opens & (bit - 1)).count_ones() == closed {
                        return Some(index * BLOCK + bit.trailing_zeros() as usize);
                    }
                    closes ^= bit;
                }
            } else {
                closed = closes.count_ones();
            }
            depth = depth + opens.count_ones() - closed;
        }
        None
    }
}

impl Scanner<'_> {
    /// Scans the block that begins at `start` and has `len` bytes.
    fn block(&mut self, start: usize, block: &[u8; BLOCK], len: usize) -> Option<()> {
        let bytes = ByteClasses::of(block);
        if bytes.controls || self.nesting == 1 && start > 0 {
            return None;
        }
        let quotes = bytes.quotes & !self.escapes(start, bytes.backslashes)?;
        // From each opening quote to just before the closing one.
        let inside = parity(quotes) ^ self.in_string;
        self.in_string = ((inside >> 63) & 1).wrapping_neg();
        let valid = u64::MAX >> (BLOCK - len);
        let outside = !inside & !quotes & valid;
        let commas = bytes.commas & outside;
        let colons = bytes.colons & outside;
        let opens = bytes.opens & outside;
        let closes = bytes.closes & outside;
        let scalars = outside & !(commas | colons | opens | closes);
        let begins = quotes & inside;
        let ends = quotes & !inside;

        let last = &mut self.before;
        let after_comma = following_bits(commas, &mut last.comma);
        let after_colon = following_bits(colons, &mut last.colon);
        let after_curly = following_bits(opens & bytes.curly, &mut last.curly);
        let after_square = following_bits(opens & !bytes.curly, &mut last.square);
        let after_string = following_bits(ends, &mut last.string);
        let after_scalar = following_bits(scalars, &mut last.scalar);
        let after_close = following_bits(closes, &mut last.close);
        let value_may_come = after_comma | after_colon | after_square;
        let value_ended = after_string | after_scalar | after_close;
        let first_of_scalar = scalars & !after_scalar;
        let mut wrong = begins & !(value_may_come | after_curly);
        wrong |= (first_of_scalar | opens) & !value_may_come;
        wrong |= commas & !value_ended;
        wrong |= closes & !(value_ended | after_curly | after_square);
        wrong |= colons & !after_string;

        // A string after a colon or `[` is not a name, one after `{` is; after a comma it depends.
        let values = begins & (after_colon | after_square);
        let values = following_bits(
            span_ends(values, inside, &mut last.value_goes_on),
            &mut last.value,
        );
        let names = begins & after_curly;
        let names = following_bits(
            span_ends(names, inside, &mut last.name_goes_on),
            &mut last.name,
        );
        let listed = begins & after_comma;
        let listed = following_bits(
            span_ends(listed, inside, &mut last.listed_goes_on),
            &mut last.listed,
        );
        wrong |= values & colons;
        wrong |= names & !colons;
        // Only a list may have a comma before something that is not a name.
        let of_lists = (listed & !colons) | ((first_of_scalar | opens) & after_comma);
        wrong |= self.nest(opens, closes, bytes.curly, colons, of_lists)?;
        if wrong & valid != 0 {
            return None;
        }
        self.scalars(start, first_of_scalar)?;
        // Nothing may follow the end.
        if self.nesting == 1 && closes & (1 << (len - 1)) == 0 {
            return None;
        }
        self.blocks.push(BlockMasks {
            quotes,
            opens,
            closes,
        });
        Some(())
    }

    /// Returns the bytes escaped by a backslash.
    fn escapes(&mut self, start: usize, mut backslashes: u64) -> Option<u64> {
        let mut escaped = std::mem::take(&mut self.escaped);
        while backslashes != 0 {
            let index = backslashes.trailing_zeros();
            backslashes &= backslashes - 1;
            if escaped & (1 << index) != 0 {
                continue;
            }
            match index {
                63 => self.escaped = 1,
                _ => escaped |= 1 << (index + 1),
            }
            let mut behind = self.text[start + index as usize + 1..].iter();
            match behind.next()? {
                b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => {}
                b'u' if behind.len() >= 4 && behind.take(4).all(u8::is_ascii_hexdigit) => {}
                _ => return None,
            }
        }
        Some(escaped)
    }

    /// Opens and closes brackets, and returns the errors: list syntax inside objects, colons inside
    /// lists.
    fn nest(
        &mut self,
        opens: u64,
        closes: u64,
        curly: u64,
        colons: u64,
        of_lists: u64,
    ) -> Option<u64> {
        let mut wrong = 0;
        let mut to_come = u64::MAX;
        let mut brackets = opens | closes;
        while brackets != 0 {
            let bit = brackets & brackets.wrapping_neg();
            brackets ^= bit;
            // The bytes between the previous bracket and this one, which counts as inside.
            let between = to_come & (bit | (bit - 1));
            to_come ^= between;
            let object = (self.nesting & 1).wrapping_neg();
            wrong |= between & ((object & of_lists) | (!object & colons));
            let kind = u64::from(curly & bit != 0);
            if opens & bit != 0 {
                if self.nesting >> MAX_DEPTH != 0 {
                    return None;
                }
                self.nesting = (self.nesting << 1) | kind;
            } else {
                wrong |= bit & ((self.nesting & 1) ^ kind).wrapping_neg();
                self.nesting >>= 1;
                if self.nesting == 1 && brackets != 0 {
                    return None;
                }
            }
        }
        let object = (self.nesting & 1).wrapping_neg();
        Some(wrong | (to_come & ((object & of_lists) | (!object & colons))))
    }

    /// Validates the numbers and words that begin here.
    fn scalars(&self, start: usize, mut firsts: u64) -> Option<()> {
        while firsts != 0 {
            let at = start + firsts.trailing_zeros() as usize;
            firsts &= firsts - 1;
            let rest = skip_scalar(&self.text[at..])?;
            // A scalar has to reach to a delimiter.
            if !matches!(rest.first(), Some(b',' | b'}' | b']')) {
                return None;
            }
        }
        Some(())
    }
}

/// Shifts a mask to the following bytes; the last bit carries over into the next block.
fn following_bits(mask: u64, last: &mut u64) -> u64 {
    let behind = (mask << 1) | *last;
    *last = mask >> 63;
    behind
}

/// Returns the ends of the strings that begin at `begins`: a bit added to a run of ones carries out
/// past it.
fn span_ends(begins: u64, inside: u64, goes_on: &mut bool) -> u64 {
    let (sum, over) = inside.overflowing_add(begins);
    let (sum, over_too) = sum.overflowing_add(u64::from(*goes_on));
    *goes_on = over | over_too;
    sum & !inside
}

/// Sets each bit to the parity of the bits up to it.
fn parity(mask: u64) -> u64 {
    [1, 2, 4, 8, 16, 32]
        .into_iter()
        .fold(mask, |mask, step| mask ^ (mask << step))
}

/// Returns the text after a number or a word.
fn skip_scalar(text: &[u8]) -> Option<&[u8]> {
    for word in [&b"true"[..], b"false", b"null"] {
        if let Some(rest) = text.strip_prefix(word) {
            return Some(rest);
        }
    }
    let text = text.strip_prefix(b"-").unwrap_or(text);
    let mut text = match text.strip_prefix(b"0") {
        Some(rest) => rest,
        None => skip_digits(text)?,
    };
    if let Some(fraction) = text.strip_prefix(b".") {
        text = skip_digits(fraction)?;
    }
    if let [b'e' | b'E', exponent @ ..] = text {
        let digits = match exponent {
            [b'+' | b'-', digits @ ..] => digits,
            digits => digits,
        };
        text = skip_digits(digits)?;
    }
    Some(text)
}

fn skip_digits(text: &[u8]) -> Option<&[u8]> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    (digits > 0).then_some(&text[digits..])
}

impl ByteClasses {
    fn of(block: &[u8; BLOCK]) -> Self {
        let all = u8x16::splat;
        let bits = |lane: u8x16| u64::from(lane.to_bitmask());
        let mut found = Self::default();
        let mut least = all(u8::MAX);
        let (lanes, _) = block.as_chunks::<16>();
        for (index, lane) in lanes.iter().enumerate() {
            let lane = u8x16::new(*lane);
            let shift = 16 * index;
            let equal = |byte| bits(lane.simd_eq(all(byte))) << shift;
            found.quotes |= equal(b'"');
            found.backslashes |= equal(b'\\');
            found.commas |= equal(b',');
            found.colons |= equal(b':');
            // `[` and `]` differ from `{` and `}` in this bit only.
            let bit = all(b'{' ^ b'[');
            found.opens |= bits((lane | bit).simd_eq(all(b'{'))) << shift;
            found.closes |= bits((lane | bit).simd_eq(all(b'}'))) << shift;
            found.curly |= bits((lane & bit).simd_eq(bit)) << shift;
            least = least.min(lane);
        }
        found.controls = bits(least.min(all(0x1f)).simd_eq(least)) != 0;
        found
    }
}
