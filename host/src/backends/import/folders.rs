//! What the names of folders, files and labels say: whose mail it is, whether it came in, whether it was read.

use crate::backends::reading::{charset, words};
use crate::clock::Millis;

/// Names of folders and labels of what was sent, in lower case, in the languages mail programs name them by.
#[rustfmt::skip]
const SENT: &[&str] = &[
    "sent", "sent items", "sent mail", "sent messages", "sent-mail", "sent_mail", "sentmail", "sent objects", "gesendet", "gesendete elemente",
    "gesendete objekte", "gesendete nachrichten", "envoyé", "envoyés", "messages envoyés", "éléments envoyés", "objets envoyés", "enviado",
    "enviados", "elementos enviados", "mensajes enviados", "itens enviados", "mensagens enviadas", "e-mails enviados", "inviati", "inviata",
    "posta inviata", "messaggi inviati", "verzonden", "verzonden items", "verzonden berichten", "skickat", "skickade objekt", "sendt", "sendte elementer",
    "sendt post", "lähetetyt", "wysłane", "elementy wysłane", "odeslaná pošta", "odeslané", "elküldött elemek", "gönderilmiş öğeler", "gönderilmiş postalar",
    "отправленные", "надіслані", "送信済み", "送信済みアイテム", "送信済みメール", "已发送", "已发送邮件", "已寄出", "寄件備份", "보낸편지함", "보낸 편지함",
];

/// The same of what did not come in, or is not meant to be read any more: drafts, what was thrown away, junk, chats.
#[rustfmt::skip]
const NOT_INCOMING: &[&str] = &[
    // Not sent yet
    "draft", "drafts", "templates", "outbox", "unsent messages", "unsent", "queue", "scheduled", "entwurf", "entwürfe", "postausgang", "vorlagen",
    "brouillon", "brouillons", "modèles", "borrador", "borradores", "rascunho", "rascunhos", "bozza", "bozze", "concept", "concepten", "utkast",
    "kladder", "kladde", "luonnokset", "wersje robocze", "szkice", "koncepty", "rozepsané", "piszkozatok", "taslaklar", "черновики", "чернетки",
    "下書き", "草稿", "草稿箱", "임시보관함", "임시 보관함",
    // Thrown away
    "trash", "bin", "deleted", "deleted items", "deleted messages", "deleted objects", "papierkorb", "gelöscht", "gelöschte elemente", "gelöschte objekte",
    "corbeille", "éléments supprimés", "messages supprimés", "papelera", "elementos eliminados", "mensajes eliminados", "lixeira", "lixo", "itens excluídos",
    "itens eliminados", "cestino", "posta eliminata", "eliminati", "prullenbak", "verwijderd", "verwijderde items", "papperskorg", "papperskorgen",
    "borttagna objekt", "papirkurv", "slettede elementer", "roskakori", "kosz", "elementy usunięte", "koš", "odstraněná pošta", "lomtár", "törölt elemek",
    "çöp kutusu", "silinmiş öğeler", "корзина", "удаленные", "кошик", "ごみ箱", "ゴミ箱", "削除済みアイテム", "已删除", "已删除邮件", "垃圾桶", "刪除的郵件", "휴지통",
    // Junk
    "junk", "junk e-mail", "junk email", "junk mail", "spam", "bulk", "bulk mail", "spamverdacht", "unerwünscht", "werbung", "indésirables",
    "courrier indésirable", "pourriel", "correo no deseado", "no deseado", "spam e-mail", "lixo eletrônico", "lixo electrónico", "posta indesiderata",
    "indesiderata", "ongewenste e-mail", "ongewenst", "skräppost", "uønsket e-post", "søppelpost", "roskaposti", "wiadomości-śmieci", "nevyžádaná pošta",
    "levélszemét", "gereksiz", "önemsiz", "önemsiz e-posta", "спам", "нежелательная почта", "迷惑メール", "垃圾邮件", "垃圾郵件", "스팸함", "정크 메일",
    // Conversations of other programs
    "chat", "chats",
];

/// Labels of what came in, whatever else it is.
#[rustfmt::skip]
const INBOX: &[&str] = &[
    "inbox", "posteingang", "boîte de réception", "recibidos", "bandeja de entrada", "caixa de entrada", "posta in arrivo", "postvak in", "inkorgen", "inkorg",
    "indbakke", "innboks", "saapuneet", "odebrane", "doručená pošta", "beérkező levelek", "gelen kutusu", "входящие", "вхідні", "受信トレイ", "收件箱", "收件匣",
    "받은편지함", "받은 편지함",
];

/// Labels that say nobody has read a message.
#[rustfmt::skip]
const UNREAD: &[&str] = &[
    "unread", "ungelesen", "non lu", "non lus", "no leído", "no leídos", "não lida", "não lidas", "não lidos", "da leggere", "non letti", "ongelezen", "oläst",
    "olästa", "ulest", "ulæst", "nieprzeczytane", "nepřečtené", "okunmadı", "непрочитанные", "未読", "未读", "未讀", "읽지않음", "읽지 않음",
];

/// Whether a folder or a label of this name holds mail that came in.
fn is_incoming(name: &str) -> bool {
    let name = name.trim().to_lowercase();
    !SENT.contains(&&name[..]) && !NOT_INCOMING.contains(&&name[..])
}

/// Whether what lies in a folder of this name, as a part of a path, came in: `Sent`, `.INBOX.Sent.2024` of a Maildir++,
/// `Sent.sbd` of Thunderbird, `Sent Messages.mbox` of Apple Mail. Names beyond ASCII are in modified UTF-7: RFC 3501, 5.1.3.
pub fn holds_incoming(part: &str) -> bool {
    let part =
        [".sbd", ".mbox", ".mbx", ".maildir"].iter().find_map(|end| part.strip_suffix(end)).unwrap_or(part);
    let decoded = decoded(part);
    // Of other folders a dot is part of the name, but where programs copy a server's folders with dots between them.
    let first = decoded.split('.').next().unwrap_or_default().to_lowercase();
    let has_levels = matches!(&first[..], "" | "inbox" | "[gmail]" | "[google mail]");
    if has_levels { decoded.split('.').all(is_incoming) } else { is_incoming(&decoded) }
}

/// Modified UTF-7 is UTF-7 with `&` for `+` and `,` for `/`, and `&-` for `&`.
fn decoded(name: &str) -> String {
    if !name.is_ascii() || !name.contains('&') {
        return name.to_owned();
    }
    let mut out = String::new();
    for (number, piece) in name.split('&').enumerate() {
        match piece.split_once('-') {
            _ if number == 0 => out += piece,
            Some(("", rest)) => out = out + "&" + rest,
            Some((shifted, rest)) => {
                let shifted = format!("+{}-", shifted.replace(',', "/"));
                out += &charset::decode(b"utf-7", shifted.as_bytes());
                out += rest;
            }
            None => out = out + "&" + piece,
        }
    }
    out
}

/// What a file is that mail programs keep beside mail, and that is no mail.
pub fn is_bookkeeping(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let mail = [".eml", ".emlx", ".mbox", ".mbx"];
    let starts = ["dovecot-", "dovecot.", "courierimap", "courierpop3"];
    let is = [
        "maildirfolder",
        "maildirsize",
        "subscriptions",
        "popstate.dat",
        "msgfilterrules.dat",
        "filterlog.html",
        "virtualfolders.dat",
        "table_of_contents",
        "info.plist",
    ];
    !mail.iter().any(|end| name.ends_with(end))
        && (starts.iter().any(|start| name.starts_with(start))
            || is.contains(&&name[..])
            || name.ends_with(".msf"))
}

/// What is known of a message beside the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marks {
    /// Whether it came in, and was neither thrown away nor taken for junk.
    pub is_incoming: bool,
    /// Whether nobody has read it, where anybody says so.
    pub unread: Option<bool>,
}

impl Marks {
    /// Nothing is known.
    pub const NONE: Marks = Marks { is_incoming: true, unread: None };

    /// The labels of a message in Gmail, as its export has them: `Inbox,Opened,"a, b"`. Whoever has not read it is told so.
    pub fn of_labels(value: &[u8]) -> Marks {
        let labels = words::decode(value);
        let labels: Vec<_> =
            labels.split(',').map(|label| label.trim().trim_matches('"').to_lowercase()).collect();
        let came_in = labels.iter().any(|label| INBOX.contains(&&label[..]));
        Marks {
            // Mail to oneself was sent and came in.
            is_incoming: labels
                .iter()
                .all(|label| is_incoming(label) || came_in && SENT.contains(&&label[..])),
            unread: Some(labels.iter().any(|label| UNREAD.contains(&&label[..]))),
        }
    }

    /// The name of a file in a Maildir, `1710513001.M1.host:2,RS`. Where no file may have a colon, programs write `;` or `!`.
    pub fn of_file(name: &str) -> Marks {
        let Some((_, flags)) = name.rsplit_once([':', ';', '!']).filter(|(_, info)| info.starts_with("2,"))
        else {
            return Marks::NONE;
        };
        Marks { is_incoming: !flags.contains(['T', 'D']), unread: Some(!flags.contains('S')) }
    }

    /// Both of what is known.
    pub fn and(self, other: Marks) -> Marks {
        Marks { is_incoming: self.is_incoming && other.is_incoming, unread: self.unread.or(other.unread) }
    }
}

/// The second a Maildir's file was delivered, with which its name begins.
pub fn delivered(name: &str) -> Option<Millis> {
    let (seconds, _) = name.split_once('.')?;
    let is_time = (9..=11).contains(&seconds.len()) && seconds.bytes().all(|byte| byte.is_ascii_digit());
    is_time.then(|| seconds.parse::<Millis>().ok()).flatten().map(|seconds| seconds * 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_say_whether_their_mail_came_in() {
        for name in [
            "Sent",
            ".Sent",
            ".INBOX.Sent",
            ".Sent.2024",
            "Sent.sbd",
            "Sent Messages.mbox",
            "SENT ITEMS",
            ".Drafts",
            ".Trash",
            ".Junk",
            "Spam.mbox",
            ".Entw&APw-rfe",
            "Entw&APw-rfe",
            "&XfJT0ZAB-",
            "Gel&APY-schte Elemente",
            "Éléments envoyés",
            "Unsent Messages",
            "INBOX.Sent",
            "INBOX.Trash",
            "[Gmail].Sent Mail",
            "[Gmail].Drafts",
        ] {
            assert!(!holds_incoming(name), "{name}");
        }
        for name in [
            "",
            "INBOX",
            ".Archive",
            "Inbox",
            "sent to me",
            "Sentinel",
            ".Trash cans",
            "R&-D",
            "&broken",
            "Inbox.sbd",
            "INBOX.Work",
            "[Gmail].All Mail",
            "sent.to.me",
            "cur",
        ] {
            assert!(holds_incoming(name), "{name}");
        }
        assert_eq!(decoded("R&-D &XfJT0ZAB- x"), "R&D 已发送 x");
    }

    #[test]
    fn labels_and_flags_say_what_became_of_a_message() {
        let marks = |is_incoming, unread| Marks { is_incoming, unread };
        assert_eq!(Marks::of_labels(b"Inbox,Opened"), marks(true, Some(false)));
        assert_eq!(Marks::of_labels(b"Inbox, Unread,\"Work\""), marks(true, Some(true)));
        assert_eq!(Marks::of_labels(b"=?UTF-8?Q?Entw=C3=BCrfe?="), marks(false, Some(false)));
        assert_eq!(Marks::of_labels(b"Inbox,Sent,Unread"), marks(true, Some(true)));
        for labels in ["Inbox,Sent,Trash", "Sent,Opened", "Spam", "Inbox,Trash", "Drafts", "Chat", "Gesendet"]
        {
            assert!(!Marks::of_labels(labels.as_bytes()).is_incoming, "{labels}");
        }
        assert_eq!(Marks::of_file("1.M1.host:2,RS"), marks(true, Some(false)));
        assert_eq!(Marks::of_file("1.M1.host;2,"), marks(true, Some(true)));
        assert_eq!(Marks::of_file("1.M1.host!2,ST"), marks(false, Some(false)));
        assert_eq!(Marks::of_file("1.M1.host:2,DS"), marks(false, Some(false)));
        assert_eq!(Marks::of_file("letter.eml"), Marks::NONE);
        assert_eq!(delivered("1710513001.M1.host:2,S"), Some(1_710_513_001_000));
        assert_eq!(delivered("1.eml"), None);
    }

    #[test]
    fn what_programs_keep_beside_mail_is_told_from_mail() {
        for name in [
            "dovecot-uidlist",
            "dovecot.index.log",
            "maildirfolder",
            "subscriptions",
            "Inbox.msf",
            "courierimapuiddb",
        ] {
            assert!(is_bookkeeping(name), "{name}");
        }
        for name in ["1.M1.host", "dovecot.eml", "Inbox", "README", "subscriptions.mbox"] {
            assert!(!is_bookkeeping(name), "{name}");
        }
    }
}
