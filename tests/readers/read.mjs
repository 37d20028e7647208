// Reads every letter of a folder, `N.eml`, with one library: `read.mjs mailparser|postal-mime MODULES FOLDER`, where MODULES is
// the folder the library lies in. Writes one line of JSON each: {file, subject, to, cc, kind, body}.
import { readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const [library, modules, folder] = process.argv.slice(2);
const require = createRequire(join(modules, "none.js"));

async function mailparser() {
  const { simpleParser } = require("mailparser");
  const plain = (list) => (list ? list.value.map((one) => one.address) : []);
  return async (bytes) => {
    // What it adds to a plain body, HTML of its own, is not asked for.
    const mail = await simpleParser(bytes, { skipTextToHtml: true, skipHtmlToText: true, skipTextLinks: true, skipImageLinks: true });
    const html = typeof mail.html === "string";
    return { subject: mail.subject, to: plain(mail.to), cc: plain(mail.cc), kind: html ? "html" : "text", body: html ? mail.html : mail.text };
  };
}

async function postalMime() {
  const { default: PostalMime } = require("postal-mime");
  const plain = (list) => (list ?? []).map((one) => one.address);
  return async (bytes) => {
    const mail = await PostalMime.parse(bytes);
    const html = mail.html !== undefined;
    return { subject: mail.subject, to: plain(mail.to), cc: plain(mail.cc), kind: html ? "html" : "text", body: html ? mail.html : mail.text };
  };
}

const read = await (library === "mailparser" ? mailparser() : postalMime());
for (const file of readdirSync(folder)) {
  console.log(JSON.stringify({ file, ...(await read(readFileSync(join(folder, file)))) }));
}
