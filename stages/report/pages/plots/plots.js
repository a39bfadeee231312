// The lines of DVC's HTML that matter: a chart, a paragraph, a picture.
const LINE = /var spec = (\{.*\});$|<p>(.*)<\/p>|<img src="(.*)">/gm;

const source = document.querySelector("plaintext");
const main = document.querySelector("main");
const found = [...source.textContent.matchAll(LINE)];
source.remove();

const add = (parent, name, properties = {}) =>
  parent.appendChild(Object.assign(document.createElement(name), properties));

let pictures;
let picture;
for (const [i, [, spec, text, src]] of found.entries()) {
  if (spec) {
    await draw(add(add(main, "figure"), "div", { className: "chart", tabIndex: 0 }), JSON.parse(spec));
  } else if (src) {
    picture.prepend(Object.assign(new Image(), { src, alt: picture.textContent }));
  } else if (found[i + 1]?.[3]) {
    // A paragraph before a picture is its revision, any other the name of pictures to come.
    picture = add(pictures, "figure");
    add(picture, "figcaption", { textContent: `${pictures.dataset.name}, ${text}` });
  } else {
    pictures = add(main, "div", { className: "pictures" });
    pictures.dataset.name = text;
  }
}
document.body.dataset.drawn = true;
