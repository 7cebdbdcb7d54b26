/* For the caller. Sizes are numbers of type T. x and y are what model_pack makes of rows of inputs and
 * labels; they and work start at a multiple of 64 bytes. work belongs to one call at a time. */
size_t model_inputs_size(void) { return (size_t)TILES * INPUTS * STRIDE; }
size_t model_labels_size(void) { return (size_t)TILES * OUTPUTS * STRIDE; }
size_t model_work_size(void) { return THREADS * EACH; }
size_t model_parameters(void) { return PARAMETERS; }
long model_samples(void) { return SAMPLES; }
void model_use_blas(Gemm *xgemm) { blas_gemm = xgemm; }

void model_pack(const T *inputs, const T *labels, T *x, T *y)
{
    pack(inputs, x, SAMPLES, INPUTS, TILE, STRIDE, STEP);
    pack(labels, y, SAMPLES, OUTPUTS, TILE, STRIDE, STEP);
}
