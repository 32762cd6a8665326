// What runs when the page opens: the small parts at once, the samples after the first paint.

const packed = async (id, use) => {
  if (!byId(id)) return;
  try {
    use(await unpacked(id));
    performance.mark(`${id}-ready`);
  } catch (error) {
    const note = byId(`${id}-note`);
    note.textContent = `This browser could not read the ${id.replace("-data", "")} of this page (${error.name}); everything else is here.`;
    note.hidden = false;
  }
};

printable();
document.querySelectorAll("table.sortable").forEach(sortable);
requestAnimationFrame(() => setTimeout(async () => {
  await packed("thresholds-data", tuner);
  await packed("samples-data", sampleBrowser);
}));
