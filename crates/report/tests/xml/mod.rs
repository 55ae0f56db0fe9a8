//! As much of an XML reader as it takes to see that elements nest and that nothing is left unescaped.

/// Checks names, attributes, nesting and escapes; in `style`, text may be anything but `<`.
pub fn check_well_formed(text: &str) -> Result<(), String> {
    let (mut open, mut rest): (Vec<&str>, &str) = (Vec::new(), text);
    while let Some(start) = rest.find('<') {
        check_text(&rest[..start], open.last() == Some(&"style"))?;
        let tag_end =
            end_of_tag(&rest[start..]).ok_or_else(|| format!("no end of tag: {}", near(&rest[start..])))?;
        let tag = &rest[start + 1..start + tag_end];
        rest = &rest[start + tag_end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            let last = open.pop();
            if last != Some(name) {
                return Err(format!("</{name}> closes {last:?}: {}", near(rest)));
            }
        } else {
            let inner = tag.strip_suffix('/');
            let name = check_tag(inner.unwrap_or(tag))?;
            if inner.is_none() && !matches!(name, "meta" | "input") {
                open.push(name);
            } else if inner.is_none() {
                return Err(format!("<{name}> is not closed"));
            }
        }
    }
    check_text(rest, false)?;
    if open.is_empty() { Ok(()) } else { Err(format!("not closed: {open:?}")) }
}

/// Where the tag's `>` stands; quoted ones do not count.
fn end_of_tag(text: &str) -> Option<usize> {
    let mut quoted = false;
    text.char_indices().find_map(|(place, c)| {
        quoted ^= c == '"';
        (c == '>' && !quoted).then_some(place)
    })
}

fn check_tag(tag: &str) -> Result<&str, String> {
    let (name, mut rest) = tag.split_once(' ').unwrap_or((tag, ""));
    check_name(name, tag)?;
    while !rest.trim().is_empty() {
        let (attribute, after) =
            rest.trim_start().split_once("=\"").ok_or_else(|| format!("attribute in <{tag}>"))?;
        check_name(attribute, tag)?;
        let (value, after) = after.split_once('"').ok_or_else(|| format!("quotes in <{tag}>"))?;
        if value.contains('<') {
            return Err(format!("`<` in a value in <{tag}>"));
        }
        check_text(value, false)?;
        rest = after;
    }
    Ok(name)
}

fn check_name(name: &str, tag: &str) -> Result<(), String> {
    let fine = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    if fine { Ok(()) } else { Err(format!("the name {name:?} in <{tag}>")) }
}

fn check_text(text: &str, style: bool) -> Result<(), String> {
    let entities = ["amp;", "lt;", "gt;", "quot;", "#x27;", "#x2f;"];
    match text.split('&').skip(1).find(|rest| !entities.iter().any(|entity| rest.starts_with(entity))) {
        Some(rest) if !style => Err(format!("unescaped &: {}", near(rest))),
        _ => Ok(()),
    }
}

fn near(text: &str) -> String {
    text.chars().take(60).collect()
}

#[test]
fn broken_text_is_noticed() {
    assert_eq!(check_well_formed("<a b=\"c>d\"><e/>x &lt; y</a>"), Ok(()));
    for broken in
        ["<a>", "</a>", "<a><b></a></b>", "<a b=c></a>", "<a b=\"<\"></a>", "a & b", "<a", "<a\"></a>"]
    {
        assert!(check_well_formed(broken).is_err(), "{broken}");
    }
}
