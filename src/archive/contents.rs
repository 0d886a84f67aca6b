//! An archive's table of contents: its header and entries.

use std::io::{Read, Write};

use crate::error::Result;

use super::header::{Header, Layout, Version};
use super::numbers::{Numbers, write_int, write_string};

/// An entry's number in its archive: pg_dump's dump id, from 1 on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ItemId(pub i32);

/// What an archive is said to hold, in restoring order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents {
    /// What it says of itself.
    pub header: Header,
    /// Its entries.
    pub items: Vec<Item>,
    /// Bytes up to here, in the file they were read from.
    pub length: u64,
}

/// An entry, as an archive has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Its number.
    pub id: ItemId,
    /// The object's catalog and oid there, as text; both 0 where it is none of a catalog's.
    pub catalog_id: (String, String),
    /// What tells it from others of its kind: a table's name.
    pub tag: String,
    /// What kind it is: `TABLE`.
    pub desc: String,
    /// When it is restored.
    pub section: ItemSection,
    /// The SQL that creates it; empty for data.
    pub create: String,
    /// The SQL that drops it; empty where its parent's does. Where it is empty the owner isn't set.
    pub drop: String,
    /// The COPY statement its rows go into.
    pub copy: Option<String>,
    /// Its schema, unquoted.
    pub schema: Option<String>,
    /// Its tablespace: none where the kind has no such thing, empty for the default one.
    pub tablespace: Option<String>,
    /// Its table access method.
    pub access_method: Option<String>,
    /// `pg_class.relkind`, since 1.16; 0 where it is no relation.
    pub relkind: i32,
    /// Its owner, unquoted; may be empty.
    pub owner: String,
    /// What is restored before.
    pub depends_on: Vec<ItemId>,
    /// Where its data is.
    pub place: Place,
}

/// What the entries are called that hold large objects.
pub(super) const LARGE_OBJECTS: &str = "BLOBS";

/// What our sessions speak.
pub(super) const UTF8: &str = "UTF8";

/// When an entry is restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ItemSection {
    /// Not in any: what concerns the archive itself, such as its encoding.
    None,
    /// Before rows.
    PreData,
    /// Rows.
    Data,
    /// After rows.
    PostData,
}

impl ItemSection {
    /// What users call it; none for what is in no section.
    pub fn name(self) -> Option<&'static str> {
        match self {
            ItemSection::None => None,
            ItemSection::PreData => Some("pre-data"),
            ItemSection::Data => Some("data"),
            ItemSection::PostData => Some("post-data"),
        }
    }
}

/// Where an entry's data is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// It has none.
    Nowhere,
    /// In this file of the folder, or of the tar file.
    File(String),
    /// In the custom file: from this byte on; none where its writer couldn't go back to note that,
    /// so that it has to be looked for.
    Offset(Option<u64>),
}

impl Contents {
    /// Reads the table of contents that `from` begins with.
    pub fn read(from: impl Read) -> Result<Contents> {
        let mut from = Numbers::new(from);
        let header = Header::read(&mut from)?;
        let count = from.int()?;
        if count < 0 {
            return Err(from.damaged("less than no entries"));
        }
        let mut items = Vec::new();
        for _ in 0..count {
            let item = Item::read(&mut from, &header)?;
            if item.desc == "ENCODING" {
                // It is the first one (source: bin/pg_dump/pg_dump.c, main).
                from.texts_are_in(item.encoding().unwrap_or(UTF8));
            }
            items.push(item);
        }
        Ok(Contents { header, items, length: from.offset() })
    }

    /// Writes it, in UTF-8. The length of what is written depends on no [`Place::Offset`]'s value.
    pub fn write(&self, to: &mut impl Write) -> std::io::Result<()> {
        self.header.write(to)?;
        write_int(to, i32::try_from(self.items.len()).map_err(std::io::Error::other)?)?;
        self.items.iter().try_for_each(|item| item.write(to, &self.header))
    }
}

impl Item {
    /// One with neither SQL nor data, of no schema and nobody.
    pub(super) fn new(id: ItemId, desc: &str, tag: &str, section: ItemSection) -> Item {
        Item {
            id,
            catalog_id: ("0".to_owned(), "0".to_owned()),
            tag: tag.to_owned(),
            desc: desc.to_owned(),
            section,
            create: String::new(),
            drop: String::new(),
            copy: None,
            schema: None,
            tablespace: None,
            access_method: None,
            relkind: 0,
            owner: String::new(),
            depends_on: Vec::new(),
            place: Place::Nowhere,
        }
    }

    /// Its number, kind and name, as errors say them.
    pub(super) fn title(&self) -> String {
        format!("entry {}, {} {}", self.id.0, self.desc, self.tag)
    }

    /// Whether its data is large objects.
    pub fn holds_large_objects(&self) -> bool {
        self.desc == LARGE_OBJECTS
    }

    /// Whether it says how the archive itself is to be read (source: pg_dump.c, dumpEncoding,
    /// dumpStdStrings, dumpSearchPath).
    pub(super) fn is_of_the_archive(&self) -> bool {
        matches!(self.desc.as_str(), "ENCODING" | "STDSTRINGS" | "SEARCHPATH")
    }

    /// Whether it is the database as a whole, or something that this has.
    pub(super) fn is_of_the_database(&self) -> bool {
        match self.desc.as_str() {
            "DATABASE" | "DATABASE PROPERTIES" => true,
            "ACL" | "COMMENT" | "SECURITY LABEL" => self.tag.starts_with("DATABASE "),
            _ => false,
        }
    }

    /// What texts are encoded in, if this is the entry that says so.
    pub(super) fn encoding(&self) -> Option<&str> {
        let name = self.create.trim_end().strip_prefix("SET client_encoding = '")?;
        name.strip_suffix("';").filter(|name| !name.contains('\''))
    }

    fn read<R: Read>(from: &mut Numbers<R>, header: &Header) -> Result<Item> {
        let id = ItemId(from.int()?);
        if id.0 <= 0 {
            return Err(from.damaged("an entry's number that isn't one"));
        }
        let has_data = from.int()? != 0;
        let mut text = || from.string();
        let (catalog, oid) = (text()?.unwrap_or_default(), text()?.unwrap_or_default());
        let (tag, desc) = (text()?.unwrap_or_default(), text()?.unwrap_or_default());
        let section = match from.int()? {
            2 => ItemSection::PreData,
            3 => ItemSection::Data,
            4 => ItemSection::PostData,
            1 => ItemSection::None,
            _ => return Err(from.damaged("an entry's section that isn't one")),
        };
        let mut text = || from.string();
        let (create, drop) = (text()?.unwrap_or_default(), text()?.unwrap_or_default());
        let copy = text()?.filter(|copy| !copy.is_empty());
        let (schema, tablespace, access_method) = (text()?, text()?, text()?);
        let relkind = if header.version >= Version::V1_16 { from.int()? } else { 0 };
        let owner = from.string()?.unwrap_or_default();
        // Whether it had OIDs, which tables have no more.
        from.string()?;
        let mut depends_on = Vec::new();
        while let Some(number) = from.string()? {
            let number = number.parse().map_err(|_| from.damaged("a dependency on no number"))?;
            depends_on.push(ItemId(number));
        }
        let place = place(from, header.layout, has_data)?;
        Ok(Item {
            id,
            catalog_id: (catalog, oid),
            tag,
            desc,
            section,
            create,
            drop,
            copy,
            schema: schema.filter(|schema| !schema.is_empty()),
            tablespace,
            access_method,
            relkind,
            owner,
            depends_on,
            place,
        })
    }

    fn write(&self, to: &mut impl Write, header: &Header) -> std::io::Result<()> {
        write_int(to, self.id.0)?;
        write_int(to, i32::from(self.place != Place::Nowhere))?;
        for text in [&self.catalog_id.0, &self.catalog_id.1, &self.tag, &self.desc] {
            write_string(to, Some(text))?;
        }
        let section = match self.section {
            ItemSection::None => 1,
            ItemSection::PreData => 2,
            ItemSection::Data => 3,
            ItemSection::PostData => 4,
        };
        write_int(to, section)?;
        write_string(to, Some(&self.create))?;
        write_string(to, Some(&self.drop))?;
        for text in [&self.copy, &self.schema, &self.tablespace, &self.access_method] {
            write_string(to, text.as_deref())?;
        }
        if header.version >= Version::V1_16 {
            write_int(to, self.relkind)?;
        }
        write_string(to, Some(&self.owner))?;
        write_string(to, Some("false"))?;
        for id in &self.depends_on {
            write_string(to, Some(&id.0.to_string()))?;
        }
        write_string(to, None)?;
        let (flag, offset) = match (&self.place, header.layout) {
            (Place::File(name), _) => return write_string(to, Some(name)),
            (Place::Nowhere, Layout::Directory | Layout::Tar) => return write_string(to, Some("")),
            (Place::Nowhere, Layout::Custom) => (3, 0),
            (Place::Offset(None), _) => (1, 0),
            (Place::Offset(Some(offset)), _) => (2, *offset),
        };
        to.write_all(&[flag])?;
        to.write_all(&offset.to_le_bytes())
    }
}

fn place<R: Read>(from: &mut Numbers<R>, layout: Layout, has_data: bool) -> Result<Place> {
    if layout != Layout::Custom {
        let file = from.string()?.filter(|file| !file.is_empty());
        return Ok(file.map_or(Place::Nowhere, Place::File));
    }
    let flag = from.byte()?;
    let offset = from.place()?;
    match (flag, has_data) {
        (3, _) | (1, false) => Ok(Place::Nowhere),
        (1, true) => Ok(Place::Offset(None)),
        (2, _) => Ok(Place::Offset(Some(offset))),
        _ => Err(from.damaged("a place of data that isn't one")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::header::{Compression, CreatedAt};
    use super::*;

    fn item(id: i32, place: Place) -> Item {
        Item {
            catalog_id: ("1259".into(), "16385".into()),
            create: "CREATE TABLE public.orders ();\n".into(),
            drop: "DROP TABLE public.orders;\n".into(),
            schema: Some("public".into()),
            tablespace: Some(String::new()),
            access_method: Some("heap".into()),
            owner: "shop".into(),
            depends_on: vec![ItemId(1), ItemId(7)],
            place,
            ..Item::new(ItemId(id), "TABLE", "orders", ItemSection::PreData)
        }
    }

    fn contents(version: Version, layout: Layout, places: &[Place]) -> Contents {
        Contents {
            header: Header {
                version,
                layout,
                compression: Compression::None,
                created: CreatedAt([59, 58, 23, 31, 11, 126, 0]),
                database: "shop".into(),
                server_version: "15.20".into(),
                dumper_version: "15.20".into(),
            },
            items: (1..).zip(places).map(|(id, place)| item(id, place.clone())).collect(),
            length: 0,
        }
    }

    fn all() -> Vec<Contents> {
        let versions = [Version::V1_14, Version::V1_15, Version::V1_16];
        let custom = [Place::Nowhere, Place::Offset(None), Place::Offset(Some(77))];
        let folder = [Place::Nowhere, Place::File("2.dat".into())];
        versions
            .into_iter()
            .flat_map(|version| {
                [
                    contents(version, Layout::Custom, &custom),
                    contents(version, Layout::Tar, &folder),
                ]
            })
            .collect()
    }

    #[test]
    fn what_is_written_is_read() {
        for mut contents in all() {
            let mut bytes = Vec::new();
            contents.write(&mut bytes).unwrap();
            contents.length = bytes.len() as u64;
            assert_eq!(Contents::read(bytes.as_slice()).unwrap(), contents);
        }
    }

    #[test]
    fn one_that_is_cut_off_anywhere_is_refused() {
        for contents in all() {
            let mut bytes = Vec::new();
            contents.write(&mut bytes).unwrap();
            for length in 0..bytes.len() {
                let error = Contents::read(&bytes[..length]).unwrap_err();
                assert!(error.to_string().contains("cut off"), "{length}: {error}");
            }
        }
    }
}
