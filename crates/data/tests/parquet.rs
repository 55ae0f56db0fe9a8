//! Parquet files with nested lists and structures, written here through the low-level writer.

#![cfg(feature = "parquet")]
#![allow(clippy::unwrap_used, reason = "a test's helpers fail by panicking")]

use parquet::data_type::{ByteArray, ByteArrayType, FloatType, Int64Type};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use semievol_core::Answer;
use semievol_data::{Dataset, DatasetConfig, rows};
use serde_json::json;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

const SCHEMA: &str = "message row {
    optional binary question (UTF8);
    optional group options (LIST) { repeated group list { optional binary element (UTF8); } }
    optional group source { optional int64 page; }
    required int64 answer;
}";

/// Two rows: one with two options, one with nulls.
fn write(path: &Path) {
    let schema = Arc::new(parse_message_type(SCHEMA).unwrap());
    let mut file =
        SerializedFileWriter::new(File::create(path).unwrap(), schema, Default::default()).unwrap();
    let mut group = file.next_row_group().unwrap();
    let mut text = |values: &[&str], definition: &[i16], repetition: Option<&[i16]>| {
        let mut column = group.next_column().unwrap().unwrap();
        let values: Vec<ByteArray> = values.iter().map(|value| ByteArray::from(*value)).collect();
        column.typed::<ByteArrayType>().write_batch(&values, Some(definition), repetition).unwrap();
        column.close().unwrap();
    };
    text(&["How far?", "How long?"], &[1, 1], None);
    text(&["near", "far"], &[3, 3, 0], Some(&[0, 1, 0]));
    for (values, definition) in [(&[7][..], Some(&[2, 0][..])), (&[1, 0], None)] {
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<Int64Type>().write_batch(values, definition, None).unwrap();
        column.close().unwrap();
    }
    group.close().unwrap();
    file.close().unwrap();
}

#[test]
fn nested_columns_become_json() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    write(&path);
    let read: Vec<_> = rows(&path, &Default::default()).unwrap().map(|row| row.unwrap()).collect();
    let values: Vec<_> = read.iter().map(|row| serde_json::Value::Object(row.values.clone())).collect();
    assert_eq!(
        values,
        [
            json!({"question": "How far?", "options": ["near", "far"], "source": {"page": 7}, "answer": 1}),
            json!({"question": "How long?", "options": null, "source": null, "answer": 0}),
        ]
    );
    assert_eq!(read[1].at.to_string(), format!("{}:2", path.display()));
}

#[test]
fn a_parquet_file_is_a_data_set() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    write(&path);
    let config: DatasetConfig =
        toml::from_str("columns.answer = { column = 'answer', kind = 'zero_based' }").unwrap();
    let dataset = Dataset::read([&path], &config).unwrap();
    assert_eq!(dataset.answers, [Some(Answer::Choice(1)), Some(Answer::Number("0".into()))]);
    assert_eq!(*dataset.samples[0].options, ["near", "far"]);
}

/// As an `f64` the same bits are 0.10000000149011612.
#[test]
fn short_floats_have_the_digits_that_they_were_written_with() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    let schema =
        parse_message_type("message row { required binary question (UTF8); required float answer; }");
    let file = File::create(&path).unwrap();
    let mut writer = SerializedFileWriter::new(file, Arc::new(schema.unwrap()), Default::default()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<ByteArrayType>().write_batch(&["q", "r"].map(ByteArray::from), None, None).unwrap();
    column.close().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<FloatType>().write_batch(&[0.1, -2.5e-7], None, None).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    writer.close().unwrap();
    let dataset = Dataset::read([&path], &DatasetConfig::default()).unwrap();
    assert_eq!(dataset.answers, ["0.1", "-0.00000025"].map(|number| Some(Answer::Number(number.into()))));
}

/// The parquet crate panics on some of them.
#[test]
fn a_damaged_file_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    write(&path);
    let sound = std::fs::read(&path).unwrap();
    let (mut refused, mut panicked) = (0, 0);
    for at in 0..sound.len() {
        for other in [1, 8] {
            let mut damaged = sound.clone();
            damaged[at] ^= other;
            std::fs::write(&path, damaged).unwrap();
            let read: Result<Vec<_>, _> = rows(&path, &Default::default()).and_then(Iterator::collect);
            refused += usize::from(read.is_err());
            panicked += usize::from(read.is_err_and(|error| format!("{error:?}").contains("is damaged")));
        }
    }
    println!("{refused} of {} refused, {panicked} of them where the crate panicked", 2 * sound.len());
    assert!(panicked > 0 && panicked < refused);
}
