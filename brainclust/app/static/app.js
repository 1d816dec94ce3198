// The scripts of the web app: the map of the slices, and the keys for labelling.
window.brainclust = window.brainclust || {};

// --- The map -------------------------------------------------------------------------------------
// Points on a canvas. Pointing at one shows its slice. A lasso around some, or a click on an entry
// of the legend, lists them. The wheel enlarges, and a double click shows everything again.

brainclust.element = (tag, properties, ...children) => {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
};

// Cells that begin like a formula get an apostrophe, so that no spreadsheet computes them.
brainclust.csv = rows => {
  const quoted = value => String(value).replace(/^([=+\-@])/, "'$1").replaceAll('"', '""');
  return rows.map(row => row.map(value => `"${quoted(value)}"`).join(',') + '\n').join('');
};

brainclust.save = (name, content) => {
  const href = URL.createObjectURL(new Blob([content], {type: 'text/csv'}));
  brainclust.element('a', {href, download: name}).click();
};

// Whether a point lies in a polygon: a ray from it crosses the outline an odd number of times.
brainclust.inside = ([x, y], outline) => {
  let odd = false;
  outline.forEach(([a, b], i) => {
    const [c, d] = outline.at(i - 1);
    if ((b > y) !== (d > y) && x < (c - a) * (y - b) / (d - b) + a) odd = !odd;
  });
  return odd;
};

brainclust.map = async box => {
  const {element, inside} = brainclust, find = name => box.querySelector(name);
  const canvas = find('canvas'), choose = find('select'), tip = find('.bc-tip');
  const pen = canvas.getContext('2d');
  const load = async () => (await fetch('page/map.json')).json();
  let data = await load();
  const picture = i => `page/slice/${data.rows[i]}.png?v=${data.version}`;
  const choice = () => data.choices[+choose.value];
  let chosen = new Set(), lasso = null, size = 0;
  let view = {x: 0, y: 0, scale: 1};  // the corner that is shown, and its enlargement

  const place = i => [data.x[i] - view.x, data.y[i] - view.y]
    .map(distance => (distance * view.scale * .94 + .03) * size);
  const at = event => {
    const frame = canvas.getBoundingClientRect();
    return [event.clientX - frame.left, event.clientY - frame.top];
  };

  function draw() {
    size = canvas.clientWidth;
    if (!size) return;
    const ratio = window.devicePixelRatio || 1, {values, colours} = choice();
    const radius = Math.max(2, Math.min(5, 120 / Math.sqrt(data.rows.length)));
    canvas.width = canvas.height = Math.round(size * ratio);
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    values.forEach((value, i) => {
      pen.globalAlpha = chosen.size && !chosen.has(i) ? .25 : .9;
      pen.fillStyle = colours[value];
      pen.beginPath();
      pen.arc(...place(i), radius * Math.sqrt(view.scale), 0, 7);
      pen.fill();
    });
    if (!lasso) return;
    pen.globalAlpha = 1;
    pen.strokeStyle = '#777';
    pen.setLineDash([5, 4]);
    pen.beginPath();
    lasso.forEach(point => pen.lineTo(...point));
    pen.stroke();
  }

  function list() {
    const all = [...chosen], more = all.length > 60 ? ', the first 60 shown' : '';
    const names = i => data.choices.map(({names, values}) => names[values[i]]);
    const save = element('button', {textContent: 'Save the list'});
    const none = element('button', {textContent: 'Clear'});
    save.onclick = () => brainclust.save('slices.csv', brainclust.csv([
      ['row', 'name', ...data.choices.map(({title}) => title)],
      ...all.map(i => [data.rows[i], data.names[i], ...names(i)]),
    ]));
    none.onclick = () => select([]);
    const figures = all.slice(0, 60).map(i => element('figure', {},
      element('img', {src: picture(i), loading: 'lazy', alt: data.names[i], title: data.names[i]}),
      element('figcaption', {textContent: data.words[i]})));
    find('.bc-chosen').replaceChildren(...all.length ? [
      element('div', {className: 'bc-chosen-head'},
        `${all.length} slices chosen${more}`, save, none),
      element('div', {className: 'bc-strip'}, ...figures),
    ] : ['Draw around points on the map, or click an entry of the legend, to list slices here.']);
  }

  function select(points) {
    chosen = new Set(points);
    list();
    draw();
  }

  function recolour() {
    const {names, colours, values} = choice();
    find('.bc-legend').replaceChildren(...names.map((name, k) => {
      const members = values.flatMap((value, i) => value === k ? [i] : []);
      const dot = element('i'), words = `${name} (${members.length})`;
      dot.style.background = colours[k];
      return element('button', {onclick: () => select(members)}, dot, words);
    }));
    draw();
  }

  function point(event) {
    const [x, y] = at(event);
    let nearest = -1, least = 12;  // pixels
    data.rows.forEach((_, i) => {
      const [a, b] = place(i), distance = Math.hypot(a - x, b - y);
      if (distance < least) [nearest, least] = [i, distance];
    });
    tip.hidden = nearest < 0;
    if (tip.hidden) return;
    if (tip.dataset.point !== String(nearest)) tip.querySelector('img').src = picture(nearest);
    tip.dataset.point = nearest;
    tip.querySelector('span').textContent = `${data.words[nearest]} · ${data.names[nearest]}`;
    tip.style.left = `${Math.min(x + 14, Math.max(0, size - 150))}px`;
    tip.style.top = `${y > size / 2 ? y - 180 : y + 14}px`;
  }

  function enlarge(event) {
    event.preventDefault();
    const [u, v] = at(event).map(distance => (distance / size - .03) / .94);
    const scale = Math.max(1, Math.min(40, view.scale * Math.exp(-event.deltaY / 400)));
    const shift = 1 / view.scale - 1 / scale;  // the point under the pointer stays there
    view = {x: view.x + u * shift, y: view.y + v * shift, scale};
    if (scale === 1) view = {x: 0, y: 0, scale};
    tip.hidden = true;
    draw();
  }

  canvas.onpointerdown = event => {
    canvas.setPointerCapture(event.pointerId);
    lasso = [at(event)];
    tip.hidden = true;
  };
  canvas.onpointermove = event => {
    if (!lasso) return point(event);
    lasso.push(at(event));
    draw();
  };
  canvas.onpointerup = () => {
    const outline = lasso;
    lasso = null;
    if (outline?.length > 4) select([...data.rows.keys()].filter(i => inside(place(i), outline)));
    else draw();
  };
  canvas.onpointercancel = () => {
    lasso = null;
    draw();
  };
  canvas.onpointerleave = () => { tip.hidden = true; };
  canvas.addEventListener('wheel', enlarge, {passive: false});
  canvas.ondblclick = () => {
    view = {x: 0, y: 0, scale: 1};
    draw();
  };

  const offer = () => choose.replaceChildren(...data.choices.map(({title}, k) => new Option(title, k)));
  offer();
  choose.onchange = recolour;
  // Another source came into force: the predictions are others, the slices and their places stay.
  brainclust.remap = async () => {
    data = await load();
    offer();
    select([]);
    recolour();
  };
  find('.bc-count').textContent = data.rows.length < data.slices
    ? `${data.rows.length} of ${data.slices} slices are shown, chosen at random.`
    : `${data.slices} slices.`;
  new ResizeObserver(draw).observe(canvas);
  recolour();
  list();
  box.dataset.ready = 'true';
};

// --- Reading a scan ------------------------------------------------------------------------------

// A slider sets the opacity of the layer of this name on top of a slice.
brainclust.opacity = name => value => {
  document.documentElement.style.setProperty(`--bc-${name}`, value / 100);
  return [];
};

brainclust.refresh = () => {
  brainclust.remap?.();
  return [];
};

// --- Keys for labelling --------------------------------------------------------------------------
// A key labels the slice that is on the screen, and only once: until the next one has come, further
// keys are ignored. Two views have these keys, "label" and "check", of which one is on the screen.

brainclust.view = () => ['label', 'check'].find(
  name => document.getElementById(`${name}-view`)?.offsetParent);

brainclust.slice = view => document.querySelector(`#${view}-slice [data-row]`);

brainclust.who = view => {
  const field = document.querySelector(`#${view}-who textarea, #${view}-who input`);
  const random = () => 'visitor-' + Math.random().toString(36).slice(2, 8);
  let name = (field?.value || '').trim();
  try {
    name = name || localStorage.getItem('brainclust-who') || random();
    localStorage.setItem('brainclust-who', name);
  } catch { name = name || (brainclust.nobody ??= random()); }
  return name.slice(0, 60);
};

// The browser sends which slice is on its screen, and who is looking.
brainclust.asked = view => (row, who, ...rest) => [
  brainclust.slice(view)?.dataset.row ?? '', brainclust.who(view), ...rest];

brainclust.press = (view, id) => {
  const button = document.getElementById(id), slice = brainclust.slice(view);
  if (!button || button.disabled || slice?.dataset.busy) return;
  if (slice) {
    slice.dataset.busy = '1';
    setTimeout(() => delete slice.dataset.busy, 5000);
  }
  button.click();
};

document.addEventListener('keydown', event => {
  const target = event.target, view = brainclust.view();
  if (!view) return;
  if (event.ctrlKey || event.altKey || event.metaKey || event.repeat) return;
  const writes = /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName) && target.type !== 'checkbox';
  if (writes || target.isContentEditable) return;
  const id = /^[1-9]$/.test(event.key) ? `${view}-class-${event.key}`
    : {u: `${view}-undo`, s: `${view}-skip`}[event.key.toLowerCase()];
  if (!id || !document.getElementById(id)) return;
  event.preventDefault();
  brainclust.press(view, id);
});
