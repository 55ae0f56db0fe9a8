//! The types of the crates that can be read from a file, with what their documentation says.

use anyhow::Context;
use std::collections::HashMap;
use std::fs;
use std::path::Path;
use syn::{Attribute, Fields, Item, Type};

/// All public structures and enumerations.
pub struct Index {
    /// By crate folder and name.
    shapes: HashMap<(String, String), Shape>,
}

/// A type.
#[derive(Clone)]
pub struct Shape {
    /// The crate's folder.
    pub of: String,
    pub doc: String,
    pub kind: Kind,
}

#[derive(Clone)]
pub enum Kind {
    Struct(Vec<Field>),
    /// A table whose kind a key says.
    Tagged {
        tag: String,
        variants: Vec<Variant>,
    },
    /// One of several words.
    Words(Vec<(String, String)>),
    /// A text, a list or a table: each way with its documentation and, if it is a table, its keys.
    Ways(Vec<Variant>),
    /// Something else that is written as one value.
    Other,
}

#[derive(Clone)]
pub struct Variant {
    pub name: String,
    pub doc: String,
    fields: Vec<Field>,
    /// The structure that holds its fields.
    newtype: Option<String>,
}

#[derive(Clone)]
pub struct Field {
    pub name: String,
    pub doc: String,
    /// The type without what is around it.
    pub inner: String,
    around: Around,
    pub is_required: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Around {
    Nothing,
    List,
    Map,
}

impl Field {
    /// The table's heading in a file.
    pub fn table(&self, path: &str) -> String {
        let at = if path.is_empty() { self.name.clone() } else { format!("{path}.{}", self.name) };
        match self.around {
            Around::Map => format!("{at}.NAME"),
            Around::Nothing | Around::List => at,
        }
    }
}

impl Index {
    /// Reads the sources of all crates.
    pub fn of(crates: &Path) -> anyhow::Result<Index> {
        let mut index = Index { shapes: HashMap::new() };
        let mut folders: Vec<_> = fs::read_dir(crates)?.flatten().map(|entry| entry.path()).collect();
        folders.sort();
        for folder in folders {
            let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
            index.read_folder(&name, &folder.join("src"))?;
        }
        Ok(index)
    }

    fn read_folder(&mut self, of: &str, folder: &Path) -> anyhow::Result<()> {
        let mut paths: Vec<_> =
            fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path()).collect();
        paths.sort();
        for path in paths {
            if path.is_dir() {
                self.read_folder(of, &path)?;
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path)?;
                let file = syn::parse_file(&text).with_context(|| path.display().to_string())?;
                file.items.iter().for_each(|item| self.read_item(of, item));
            }
        }
        Ok(())
    }

    fn read_item(&mut self, of: &str, item: &Item) {
        let (name, attributes, kind) = match item {
            Item::Struct(item) => (&item.ident, &item.attrs, structure(&item.fields, &item.attrs)),
            Item::Enum(item) => (&item.ident, &item.attrs, enumeration(item)),
            _ => return,
        };
        // A hand-written reader, and a type that no file holds, say nothing about how it is written.
        let is_read = attributes.iter().any(|attribute| {
            attribute.path().is_ident("derive") && tokens(attribute).contains("Deserialize")
        });
        let serde = Serde::of(attributes);
        let ways = match item {
            Item::Enum(item) if serde.has("untagged") => Some(variants(item)),
            // Its first field alone will do, written as that field's value.
            Item::Struct(item) if serde.has("from") => Some(short_or_whole(&item.fields)),
            _ => None,
        };
        let own_way = serde.has("from") || serde.has("try_from") || serde.has("untagged");
        let kind = match ways {
            Some(ways) if is_read => Kind::Ways(ways),
            _ if is_read && !own_way => kind,
            _ => Kind::Other,
        };
        let shape = Shape { of: of.to_owned(), doc: doc(attributes), kind };
        self.shapes.entry((of.to_owned(), name.to_string())).or_insert(shape);
    }

    /// The type of this name, first among the same crate's, else the only one that a file can hold.
    pub fn find(&self, of: &str, name: &str) -> Option<&Shape> {
        let own = self.shapes.get(&(of.to_owned(), name.to_owned()));
        own.or_else(|| {
            let mut all: Vec<_> = self.shapes.iter().filter(|((_, known), _)| known == name).collect();
            all.sort_by_key(|((of, _), _)| of.clone());
            let readable = all.iter().find(|(_, shape)| !matches!(shape.kind, Kind::Other));
            readable.or(all.first()).map(|(_, shape)| *shape)
        })
    }

    /// The fields of a variant, or of the structure that it holds.
    pub fn fields_of(&self, of: &str, variant: &Variant) -> Vec<Field> {
        match variant.newtype.as_deref().and_then(|name| self.find(of, name)) {
            Some(Shape { kind: Kind::Struct(fields), .. }) => fields.clone(),
            _ => variant.fields.clone(),
        }
    }

    /// A variant that only names its part is told in the part's own words.
    pub fn variant_doc(&self, of: &str, doc: &str) -> String {
        let part = doc.strip_prefix("[`").and_then(|rest| rest.split_once("`]"));
        let Some((name, rest)) = part else { return doc.to_owned() };
        let own =
            self.find(of, name).map(|shape| shape.doc.split("\n\n").next().unwrap_or_default().to_owned());
        match own {
            // What goes on in the middle of a sentence goes on from the name, not from the part's own words.
            Some(own) if rest.trim_start_matches(['.', ' ']).starts_with(char::is_uppercase) => {
                format!("{own} {}", rest.trim_start_matches(['.', ' ']))
            }
            Some(own) => own,
            None => doc.to_owned(),
        }
    }

    /// How a field's value is written.
    pub fn value(&self, field: &Field) -> String {
        let one = match field.inner.as_str() {
            "String" => "text".to_owned(),
            "PathBuf" => "path".to_owned(),
            "bool" => "`true` or `false`".to_owned(),
            "f32" | "f64" => "number".to_owned(),
            "usize" | "u64" | "u32" | "u16" => "whole number".to_owned(),
            "Source" => "path, `hf:…` or `pypi:…`".to_owned(),
            "Arm" => "arm".to_owned(),
            name => match self.find("semievol", name).map(|shape| &shape.kind) {
                Some(Kind::Struct(_) | Kind::Tagged { .. }) => "table".to_owned(),
                Some(Kind::Words(words)) => {
                    words.iter().map(|(word, _)| format!("`\"{word}\"`")).collect::<Vec<_>>().join(", ")
                }
                Some(Kind::Ways(_)) => "text or table".to_owned(),
                _ => "text".to_owned(),
            },
        };
        match (field.around, one.as_str()) {
            (Around::Nothing, _) => one,
            (Around::List, "text") => "list of texts".to_owned(),
            (Around::List, "table") => "list of tables".to_owned(),
            (Around::List, "arm") => "list of arms".to_owned(),
            (Around::List, _) => format!("list of {one}s"),
            (Around::Map, _) => format!("{one}s by name"),
        }
    }
}

fn structure(fields: &Fields, attributes: &[Attribute]) -> Kind {
    match fields {
        Fields::Named(named) => Kind::Struct(fields_of(named, Serde::of(attributes).has("default"))),
        _ => Kind::Other,
    }
}

fn enumeration(item: &syn::ItemEnum) -> Kind {
    let serde = Serde::of(&item.attrs);
    let words = item.variants.iter().all(|variant| matches!(variant.fields, Fields::Unit));
    let name = |variant: &syn::Variant| name_of(variant, serde.value("rename_all").as_deref());
    match serde.value("tag") {
        Some(tag) => Kind::Tagged { tag, variants: variants(item) },
        None if words => {
            Kind::Words(item.variants.iter().map(|variant| (name(variant), doc(&variant.attrs))).collect())
        }
        None => Kind::Other,
    }
}

fn variants(item: &syn::ItemEnum) -> Vec<Variant> {
    let rule = Serde::of(&item.attrs).value("rename_all");
    let one = |variant: &syn::Variant| {
        let (fields, newtype) = match &variant.fields {
            Fields::Named(named) => (fields_of(named, false), None),
            Fields::Unnamed(one) => (Vec::new(), one.unnamed.first().map(|field| unwrapped(&field.ty).0)),
            Fields::Unit => (Vec::new(), None),
        };
        Variant { name: name_of(variant, rule.as_deref()), doc: doc(&variant.attrs), fields, newtype }
    };
    item.variants.iter().map(one).collect()
}

fn name_of(variant: &syn::Variant, rule: Option<&str>) -> String {
    let own = Serde::of(&variant.attrs).value("rename");
    own.unwrap_or_else(|| renamed(&variant.ident.to_string(), rule))
}

/// The value of a structure's first field, or a table of all of them.
fn short_or_whole(fields: &Fields) -> Vec<Variant> {
    let Fields::Named(named) = fields else { return Vec::new() };
    let mut all = fields_of(named, true);
    let Some(first) = all.first_mut() else { return Vec::new() };
    first.is_required = true;
    let way = |doc: String, fields| Variant { name: String::new(), doc, fields, newtype: None };
    vec![way(format!("`{}` alone.", first.name), Vec::new()), way("A table.".to_owned(), all)]
}

fn fields_of(named: &syn::FieldsNamed, all_default: bool) -> Vec<Field> {
    let fields = named.named.iter().map(|field| {
        let serde = Serde::of(&field.attrs);
        let (inner, around, is_optional) = unwrapped(&field.ty);
        let own = field.ident.as_ref().map(ToString::to_string).unwrap_or_default();
        Field {
            name: serde.value("rename").unwrap_or(own),
            doc: doc(&field.attrs),
            inner,
            around,
            is_required: !all_default && !is_optional && !serde.has("default"),
        }
    });
    fields.collect()
}

/// The type's name without options, lists and maps; which of them it stands in; whether it may be absent.
fn unwrapped(ty: &Type) -> (String, Around, bool) {
    let Type::Path(path) = ty else { return (String::new(), Around::Nothing, false) };
    let Some(last) = path.path.segments.last() else { return (String::new(), Around::Nothing, false) };
    let arguments: Vec<&Type> = match &last.arguments {
        syn::PathArguments::AngleBracketed(all) => {
            let types = all.args.iter().filter_map(|one| match one {
                syn::GenericArgument::Type(ty) => Some(ty),
                _ => None,
            });
            types.collect()
        }
        _ => Vec::new(),
    };
    match (last.ident.to_string().as_str(), arguments.last()) {
        ("Option", Some(inner)) => {
            let (name, around, _) = unwrapped(inner);
            (name, around, true)
        }
        ("Vec", Some(inner)) => (unwrapped(inner).0, Around::List, false),
        ("BTreeMap" | "HashMap", Some(inner)) => (unwrapped(inner).0, Around::Map, false),
        ("Box", Some(inner)) => unwrapped(inner),
        (name, _) => (name.to_owned(), Around::Nothing, false),
    }
}

fn renamed(name: &str, rule: Option<&str>) -> String {
    match rule {
        Some("snake_case") => {
            let mut text = String::new();
            for (at, c) in name.chars().enumerate() {
                if c.is_uppercase() && at > 0 {
                    text.push('_');
                }
                text.extend(c.to_lowercase());
            }
            text
        }
        Some("lowercase") => name.to_lowercase(),
        _ => name.to_owned(),
    }
}

/// The text of doc comments, without examples.
fn doc(attributes: &[Attribute]) -> String {
    let lines =
        attributes.iter().filter(|attribute| attribute.path().is_ident("doc")).filter_map(|attribute| {
            match &attribute.meta {
                syn::Meta::NameValue(pair) => match &pair.value {
                    syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }) => Some(text.value()),
                    _ => None,
                },
                _ => None,
            }
        });
    let text =
        lines.map(|line| line.strip_prefix(' ').unwrap_or(&line).to_owned()).collect::<Vec<_>>().join("\n");
    let text = text.split("```").next().unwrap_or_default();
    let text = text.split("\n# ").next().unwrap_or_default();
    plain_links(text.trim())
}

/// Links to items are links of another page: their words remain.
fn plain_links(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("[`") {
        plain += &rest[..at];
        rest = &rest[at..];
        let Some(end) = rest.find("`]") else { break };
        // A variant that is nothing but a link is resolved by its name.
        if at == 0 && plain.is_empty() {
            plain += &rest[..end + 2];
        } else {
            plain += &rest[1..=end];
        }
        rest = &rest[end + 2..];
        if rest.starts_with('(') {
            rest = rest.split_once(')').map_or(rest, |(_, after)| after);
        }
    }
    plain + rest
}

fn tokens(attribute: &Attribute) -> String {
    match &attribute.meta {
        syn::Meta::List(list) => list.tokens.to_string(),
        _ => String::new(),
    }
}

/// What `#[serde(...)]` says.
struct Serde(Vec<(String, Option<String>)>);

impl Serde {
    fn of(attributes: &[Attribute]) -> Serde {
        let mut found = Vec::new();
        for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("serde")) {
            let _ = attribute.parse_nested_meta(|meta| {
                let name = meta.path.get_ident().map(ToString::to_string).unwrap_or_default();
                let value = match meta.value() {
                    Ok(value) => Some(value.parse::<syn::LitStr>()?.value()),
                    Err(_) => None,
                };
                found.push((name, value));
                Ok(())
            });
        }
        Serde(found)
    }

    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| known == name)
    }

    fn value(&self, name: &str) -> Option<String> {
        self.0.iter().find(|(known, _)| known == name)?.1.clone()
    }
}
