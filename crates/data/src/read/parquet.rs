use super::Rows;
use crate::error::{DataError, Place};
use crate::row::Row;
use bytes::Bytes;
use parquet::column::page::Page;
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, FileReader, Length, SerializedFileReader};
use parquet::record::reader::RowIter;
use parquet::record::{Field, Row as Record};
use serde_json::{Map, Value};
use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::path::Path;
use std::sync::{Arc, Once};

/// Rows of a parquet file, through its record interface (no arrow), up to the first error.
pub(super) fn rows(path: &Path) -> Result<Rows, DataError> {
    let file: Arc<Path> = Arc::from(path);
    let place = move |record| Place { file: Arc::clone(&file), line: record };
    let opened = File::open(path).map_err(|source| DataError::Io { path: path.to_owned(), source })?;
    let open = || {
        let reader = SerializedFileReader::new(Strict(opened))?;
        check_dictionaries(&reader)?;
        Ok(RowIter::from_file_into(Box::new(reader)))
    };
    let mut records = caught(open).map_err(|source| DataError::Parquet { at: place(0), source })?;
    let mut failed = false;
    Ok(Box::new((1..).map_while(move |record| {
        if failed {
            return None;
        }
        let read = caught(|| records.next().transpose()).transpose()?;
        failed = read.is_err();
        let at = place(record);
        Some(match read {
            Ok(record) => Ok(Row { values: object(&record), at }),
            Err(source) => Err(DataError::Parquet { at, source }),
        })
    })))
}

/// The parquet crate takes room for as many values as a dictionary's header claims, whatever stands behind it. Of other
/// pages the headers alone are read here.
fn check_dictionaries(reader: &impl FileReader) -> Result<(), ParquetError> {
    for group in 0..reader.num_row_groups() {
        let group = reader.get_row_group(group)?;
        for column in 0..group.num_columns() {
            let mut pages = group.get_column_page_reader(column)?;
            while let Some(page) = pages.peek_next_page()? {
                if !page.is_dict {
                    pages.skip_next_page()?;
                    continue;
                }
                if let Some(Page::DictionaryPage { buf, num_values, .. }) = pages.get_next_page()? {
                    // A value has a byte at least.
                    if num_values as usize > buf.len() {
                        return Err(ParquetError::General(format!(
                            "the file is damaged: a dictionary of {num_values} values in {} bytes",
                            buf.len()
                        )));
                    }
                }
            }
        }
    }
    Ok(())
}

/// A file whose end is an error to whoever reads on, as the parquet crate does for as many values as a damaged header claims.
struct Strict<T>(T);

impl Read for Strict<BufReader<File>> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buffer)? {
            0 if !buffer.is_empty() => Err(io::ErrorKind::UnexpectedEof.into()),
            n => Ok(n),
        }
    }
}

impl Length for Strict<File> {
    fn len(&self) -> u64 {
        Length::len(&self.0)
    }
}

impl ChunkReader for Strict<File> {
    type T = Strict<BufReader<File>>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        self.0.get_read(start).map(Strict)
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        self.0.get_bytes(start, length)
    }
}

/// The parquet crate panics where the parts of a damaged file contradict each other, which is an error like any other.
fn caught<T>(read: impl FnOnce() -> Result<T, ParquetError>) -> Result<T, ParquetError> {
    thread_local!(static CATCHING: Cell<bool> = const { Cell::new(false) });
    static QUIET: Once = Once::new();
    // What is caught is said in the error, and not by the process's hook as well; all else is left to that.
    QUIET.call_once(|| {
        let hook = take_hook();
        set_hook(Box::new(move |panic| {
            if !CATCHING.get() {
                hook(panic);
            }
        }));
    });
    CATCHING.set(true);
    let read = catch_unwind(AssertUnwindSafe(read));
    CATCHING.set(false);
    read.unwrap_or_else(|panic| {
        let said = panic.downcast_ref::<String>().map(String::as_str);
        let said = said.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no reason is known");
        Err(ParquetError::General(format!("the file is damaged: {said}")))
    })
}

fn object(record: &Record) -> Map<String, Value> {
    record.get_column_iter().map(|(name, field)| (name.clone(), value(field))).collect()
}

fn value(field: &Field) -> Value {
    match field {
        Field::Null => Value::Null,
        Field::Bool(value) => Value::from(*value),
        Field::Byte(value) => Value::from(*value),
        Field::Short(value) => Value::from(*value),
        Field::Int(value) | Field::Date(value) | Field::TimeMillis(value) => Value::from(*value),
        Field::Long(value)
        | Field::TimeMicros(value)
        | Field::TimestampMillis(value)
        | Field::TimestampMicros(value) => Value::from(*value),
        Field::UByte(value) => Value::from(*value),
        Field::UShort(value) => Value::from(*value),
        Field::UInt(value) => Value::from(*value),
        Field::ULong(value) => Value::from(*value),
        Field::Float16(value) => Value::from(value.to_f32()),
        Field::Float(value) => short(*value),
        Field::Double(value) => Value::from(*value),
        Field::Str(text) => Value::from(text.as_str()),
        Field::Bytes(bytes) => Value::from(String::from_utf8_lossy(bytes.data())),
        // Written out with its digits, as a decimal column means them.
        Field::Decimal(_) => Value::from(field.to_string()),
        Field::Group(record) => Value::Object(object(record)),
        Field::ListInternal(list) => list.elements().iter().map(value).collect(),
        Field::MapInternal(map) => {
            let entries = map.entries().iter();
            Value::Object(entries.map(|(key, held)| (plain(key), value(held))).collect())
        }
    }
}

/// The number that is written so: 0.1, where the same bits as an `f64` are 0.10000000149011612.
fn short(value: f32) -> Value {
    Value::from(value.to_string().parse().unwrap_or(f64::NAN))
}

fn plain(key: &Field) -> String {
    match key {
        Field::Str(text) => text.clone(),
        other => other.to_string(),
    }
}
