// The server writes the page; here its parts are kept current, and where the connection ends it is said.

const live = document.getElementById("live");
const { range, state } = document.getElementById("charts").dataset;

// Make `old` what `fresh` is, and touch only what differs: what is focused or selected stays so.
function become(old, fresh) {
  const nodes = [...old.childNodes];
  const wanted = [...fresh.childNodes];
  wanted.forEach((node, place) => {
    const known = nodes[place];
    if (!known) {
      old.append(node);
    } else if (known.nodeType !== node.nodeType || known.nodeName !== node.nodeName) {
      known.replaceWith(node);
    } else if (node.nodeType === Node.TEXT_NODE) {
      if (known.data !== node.data) known.data = node.data;
    } else {
      dress(known, node);
      become(known, node);
    }
  });
  nodes.slice(wanted.length).forEach((node) => node.remove());
}

function dress(old, fresh) {
  for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name)) old.removeAttribute(name);
  for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
}

const template = document.createElement("template");
const pause = document.getElementById("pause");
let source = null;
let paused = false;
let known = state;

// A tab that nobody sees keeps nobody awake.
function follow() {
  const wanted = !paused && !document.hidden;
  if (!wanted && source) {
    source.close();
    source = null;
  } else if (wanted && !source) {
    source = new EventSource("/live?" + new URLSearchParams({ range, since: known }));
    source.addEventListener("parts", show);
    source.onerror = () => {
      const gone = source && source.readyState === EventSource.CLOSED;
      say(gone ? "not live: load the page anew" : "not live: the bridge does not answer");
    };
  }
  if (paused) say("paused");
}

pause.hidden = false;
pause.onclick = () => {
  paused = !paused;
  pause.textContent = paused ? "Go on" : "Pause";
  follow();
};
document.addEventListener("visibilitychange", follow);
follow();

function show(event) {
  known = event.lastEventId;
  for (const [name, content] of Object.entries(JSON.parse(event.data))) {
    template.innerHTML = content;
    const part = document.getElementById(name);
    if (part) become(part, template.content);
  }
  // Of many tabs it tells which one to open.
  const severity = document.getElementById("severity");
  if (severity) document.title = `${severity.textContent}: ${document.getElementById("name").textContent}`;
  say(document.getElementById("problem").firstChild ? "not live" : "live");
}

function say(words) {
  if (live.textContent !== words) live.textContent = words;
  document.body.dataset.live = words;
}
