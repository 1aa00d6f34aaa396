// What pages do by themselves in the browser: theme, title, copy buttons, keys, and the address of a listing.
(() => {
  const stored = (name) => { try { return localStorage.getItem(name); } catch { return null; } };
  const store = (name, value) => { try { localStorage.setItem(name, value); } catch { /* private window */ } };
  const chosen = () => new URLSearchParams(location.search).get('__theme') || stored('tacit-theme') || (matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light');
  const paint = (theme) => document.body.classList.toggle('dark', theme === 'dark');
  const icon = document.createElement('link');
  icon.rel = 'icon'; icon.type = 'image/svg+xml';
  icon.href = 'data:image/svg+xml,' + encodeURIComponent(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24"><rect width="24" height="24" rx="6" fill="#4350d0"/><g fill="none" stroke="#fff" stroke-width="2.4" stroke-linecap="round"><path d="M6 7h12"/><path d="M8.5 12h7" opacity=".8"/><path d="M11 17h2" opacity=".6"/></g></svg>`);
  const begin = () => { paint(chosen()); document.querySelectorAll('link[rel~=icon]').forEach((old) => old.remove()); document.head.append(icon); document.documentElement.lang = 'en'; };
  document.readyState === 'loading' ? addEventListener('DOMContentLoaded', begin) : begin();
  const shown = (part) => part && part.offsetParent !== null && !part.disabled;
  const typing = (event) => event.target.closest('input:not([data-pick], [data-pick-all]), textarea, select, [contenteditable], [role=listbox]') || event.metaKey || event.ctrlKey || event.altKey;
  const rows = () => [...document.querySelectorAll('.listing tbody tr[data-open]')].filter((row) => row.offsetParent);
  let place = 0; // of the row that was opened last: where it is no longer listed, its neighbours are still the next ones
  const step = (by) => {
    const all = rows(), at = all.findIndex((row) => row.classList.contains('current'));
    const next = at >= 0 ? at + by : place + (by > 0 ? 0 : by);
    const turn = all[0]?.closest('.listing')?.querySelector(`.pager [data-page]:${by > 0 ? 'last' : 'first'}-of-type:not(:disabled)`);
    if (at >= 0 && all.length && (next < 0 || next >= all.length) && turn) { place = 0; turn.click(); return; }
    const to = all[Math.min(all.length - 1, Math.max(0, next))];
    if (to) { to.querySelector('button.open, a')?.focus({ preventScroll: true }); to.scrollIntoView({ block: 'nearest' }); to.click(); }
  };
  // Cards that one is chosen of: by its number, or the one before or behind it.
  const choose = (key) => {
    const all = [...document.querySelectorAll('[data-choose]')].filter(shown);
    const at = all.findIndex((part) => part.getAttribute('aria-checked') === 'true');
    const to = /^[1-9]$/.test(key) ? all.find((part) => part.dataset.number === key) : key === 'ArrowRight' ? all[at + 1] : key === 'ArrowLeft' ? all[at - 1] : null;
    if (to) { to.scrollIntoView({ block: 'nearest' }); to.click(); }
    return Boolean(to);
  };
  // A small Copy over the cell that is pointed at or focused; c copies what the row is about, whole, wherever it stands.
  const copier = Object.assign(document.createElement('button'), { type: 'button', className: 'button small copy-cell', textContent: 'Copy' });
  copier.dataset.copy = ''; copier.setAttribute('aria-label', 'Copy this cell');
  const cellText = (cell) => [...cell.childNodes].filter((node) => node !== copier).map((node) => node.textContent).join(' ').trim();
  const whole = (id) => [...document.querySelectorAll('[data-full]')].find((part) => part.dataset.full === id && part.offsetParent);
  const point = (event) => {
    const cell = event.target.closest('.plain td:not(.tick)');
    if (!cell) { if (event.type === 'pointerover' && !event.target.closest('.copy-cell')) copier.remove(); return; }
    if (cell !== copier.parentNode && cellText(cell)) { copier.textContent = 'Copy'; cell.append(copier); }
  };
  document.addEventListener('pointerover', point); document.addEventListener('focusin', point);
  let owed = '';
  const put = (text) => navigator.clipboard?.writeText(text).then(() => { copier.textContent = 'Copied'; setTimeout(() => { copier.textContent = 'Copy'; }, 1200); });
  const copyCell = (cell) => {
    const id = cell.closest('tr').dataset.open, cut = cell.hasAttribute('data-cut');
    if (copier.parentNode !== cell) cell.append(copier);
    if (!cut || whole(id)) put(cut ? whole(id).textContent : cellText(cell)); else { owed = id; cell.click(); }
  };
  const owe = () => { if (owed && whole(owed)) { put(whole(owed).textContent); owed = ''; } };
  const focusedRow = () => document.activeElement?.closest('.listing tbody tr[data-open]') || document.querySelector('.listing tbody tr.current');
  document.addEventListener('click', (event) => {
    if (event.target === copier) { copyCell(copier.parentNode); return; }
    const act = event.target.closest('[data-act]');
    if (act) { act.closest('.toast')?.remove(); window.tacitAct?.(act.dataset.act, JSON.parse(act.dataset.ids)); }
    const row = event.target.closest('.listing tbody tr[data-open]');
    if (row) place = Math.max(0, rows().indexOf(row)); else if (event.target.closest('[data-page], [data-sort], [data-show]')) place = 0;
    const copy = event.target.closest('[data-copy]');
    if (copy) navigator.clipboard?.writeText(copy.dataset.copy).then(() => {
      const was = copy.textContent; copy.textContent = 'Copied'; setTimeout(() => { copy.textContent = was; }, 1200);
    });
    if (event.target.closest('[data-theme-switch]')) {
      const theme = document.body.classList.contains('dark') ? 'light' : 'dark'; store('tacit-theme', theme); paint(theme);
      const here = new URL(location.href); here.searchParams.delete('__theme'); history.replaceState(history.state, '', here);
    }
    document.querySelectorAll('details.menu[open]').forEach((menu) => { if (!menu.contains(event.target)) menu.open = false; });
  });
  document.addEventListener('keydown', (event) => {
    if (event.key === 'Escape') document.querySelectorAll('details.menu[open]').forEach((menu) => { menu.open = false; });
    if (event.key === 'Escape' && event.target.closest('.listing, textarea')) event.target.blur();
    if (typing(event)) return;
    const pressed = [...document.querySelectorAll(`button.key-${CSS.escape(event.key)}`)].find(shown);
    if (pressed) { event.preventDefault(); pressed.click(); return; }
    const row = focusedRow(), box = row?.querySelector('[data-pick]');
    if (['x', 'X'].includes(event.key) && box) { event.preventDefault(); box.dispatchEvent(new MouseEvent('click', { bubbles: true, cancelable: true, shiftKey: event.key === 'X' })); return; }
    if (event.key === 'c' && row) { event.preventDefault(); copyCell(row.querySelector('td:not(.tick)')); return; }
    if (choose(event.key)) { event.preventDefault(); return; }
    if (['j', 'k', 'p'].includes(event.key)) { event.preventDefault(); step(event.key === 'j' ? 1 : -1); }
    if (event.key === '/' && document.querySelector('.listing input[type=search]')) { event.preventDefault(); document.querySelector('.listing input[type=search]').focus(); }
  });
  // Jobs of this tab's project in the strip: one that is not there any more has ended, and the title says so until the tab is looked at.
  let mine = new Map(), ended = '';
  const watch = () => {
    const now = new Map([...document.querySelectorAll('.strip [data-mine]')].map((job) => [job.dataset.mine, job.dataset.title]));
    for (const [id, title] of mine) if (!now.has(id) && !document.hasFocus()) {
      ended = title;
      try { if (window.Notification?.permission === 'granted') new Notification(`Ended: ${title}`, { body: document.querySelector('.rail')?.dataset.project || '', tag: id }); } catch { /* some browsers tell only from a worker */ }
    }
    mine = now;
  };
  const titled = () => {
    watch(); owe();
    const head = document.querySelector('.page-head h1'), said = head && (ended ? `Ended: ${ended} · Tacit` : `${head.textContent} · Tacit`);
    if (said && document.title !== said) document.title = said;
  };
  addEventListener('focus', () => { ended = ''; titled(); });
  new MutationObserver(titled).observe(document.documentElement, { childList: true, subtree: true });
})();
