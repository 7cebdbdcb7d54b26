/* A generated C file as a Python module with one type: Objective(X, Y), the routines with their data.
 *
 * Arguments are checked by looking at NumPy's array structure, which takes a few nanoseconds. The
 * interpreter lock is released where a call takes long; calls that overlap get a workspace each.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#define NPY_NO_DEPRECATED_API NPY_2_0_API_VERSION
#include <numpy/arrayobject.h>

#include "model.c"

#define NUMPY_TYPE (REAL_IS_DOUBLE ? NPY_DOUBLE : NPY_FLOAT)
/* Whether the interpreter lock is released, so that calls may overlap: taking it back costs as much as a
 * small network. */
#define LONG_CALL ((double)SAMPLES * PARAMETERS > 50000)
#ifdef Py_GIL_DISABLED
#define OVERLAP 1
#else
#define OVERLAP LONG_CALL
#endif
#define UNLOCKED(call)                                                                             \
    if (LONG_CALL) {                                                                               \
        Py_BEGIN_ALLOW_THREADS                                                                     \
        call;                                                                                      \
        Py_END_ALLOW_THREADS                                                                       \
    } else                                                                                         \
        call

static PyObject *error; /* lagrangenet.DataError */

typedef struct {
    PyObject_HEAD
    T *x, *y, *work;
    int busy;
} Objective;

static T *aligned(size_t count)
{
    return aligned_alloc(64, (count * sizeof(T) + 63) / 64 * 64);
}

/* the numbers of a vector of parameters, or NULL and an exception */
static T *vector(PyObject *value, const char *name, int written)
{
    PyArrayObject *const array = (PyArrayObject *)value;
    const int wanted = written ? NPY_ARRAY_CARRAY : NPY_ARRAY_CARRAY_RO;
    if ((Py_TYPE(value) == &PyArray_Type || PyArray_Check(value)) && PyArray_TYPE(array) == NUMPY_TYPE &&
        PyArray_NDIM(array) == 1 && PyArray_DIM(array, 0) == PARAMETERS &&
        (PyArray_FLAGS(array) & wanted) == wanted && PyDataType_ISNOTSWAPPED(PyArray_DESCR(array)))
        return PyArray_DATA(array);
    PyErr_Format(error, "%s has to be a contiguous%s vector of %d numbers of type %s", name,
                 written ? " writable" : "", PARAMETERS, REAL_IS_DOUBLE ? "float64" : "float32");
    return NULL;
}

/* out is written while the other vectors are still read */
static int apart(const T *vector, const char *name, const T *out)
{
    if (out + PARAMETERS <= vector || vector + PARAMETERS <= out) return 1;
    PyErr_Format(error, "out shares memory with %s", name);
    return 0;
}

/* a workspace for one call: the object's own, or a new one if that is in use */
static T *begin(Objective *self)
{
    if (!OVERLAP || !__atomic_exchange_n(&self->busy, 1, __ATOMIC_ACQUIRE)) return self->work;
    T *const work = aligned(model_work_size());
    if (!work) PyErr_NoMemory();
    return work;
}

static void end(Objective *self, T *work)
{
    if (!OVERLAP) return;
    if (work == self->work)
        __atomic_store_n(&self->busy, 0, __ATOMIC_RELEASE);
    else
        free(work);
}

static int expect(Py_ssize_t given, Py_ssize_t wanted)
{
    if (given == wanted) return 1;
    PyErr_Format(PyExc_TypeError, "expected %zd arguments, got %zd", wanted, given);
    return 0;
}

#ifdef HAS_GRADIENT
static PyObject *objective_into(PyObject *object, PyObject *const *arguments, Py_ssize_t count)
{
    Objective *const self = (Objective *)object;
    T *theta, *out, *work;
    double J;
    if (!expect(count, 2) || !(theta = vector(arguments[0], "theta", 0)) ||
        !(out = vector(arguments[1], "out", 1)) || !apart(theta, "theta", out) || !(work = begin(self)))
        return NULL;
    UNLOCKED(J = model_value_and_grad(theta, self->x, self->y, work, out));
    end(self, work);
    return PyFloat_FromDouble(J);
}

#endif

static PyObject *objective_value(PyObject *object, PyObject *argument)
{
    Objective *const self = (Objective *)object;
    T *const theta = vector(argument, "theta", 0), *const work = theta ? begin(self) : NULL;
    double J;
    if (!work) return NULL;
    UNLOCKED(J = model_value(theta, self->x, self->y, work));
    end(self, work);
    return PyFloat_FromDouble(J);
}

#ifdef HAS_PRODUCTS
typedef void Product(const T *, const T *, const T *, const T *, T *, T *);

static PyObject *product(PyObject *object, PyObject *const *arguments, Py_ssize_t count, Product *compute)
{
    Objective *const self = (Objective *)object;
    T *theta, *direction, *out, *work;
    if (!expect(count, 3) || !(theta = vector(arguments[0], "theta", 0)) ||
        !(direction = vector(arguments[1], "p", 0)) || !(out = vector(arguments[2], "out", 1)) ||
        !apart(theta, "theta", out) || !apart(direction, "p", out) || !(work = begin(self)))
        return NULL;
    UNLOCKED(compute(theta, self->x, self->y, direction, work, out));
    end(self, work);
    Py_RETURN_NONE;
}

static PyObject *hessian_product(PyObject *object, PyObject *const *arguments, Py_ssize_t count)
{
    return product(object, arguments, count, model_hessian_product);
}

static PyObject *gauss_newton_product(PyObject *object, PyObject *const *arguments, Py_ssize_t count)
{
    return product(object, arguments, count, model_gauss_newton_product);
}
#endif

static const T *batch(PyObject *value, int components, const char *name)
{
    PyArrayObject *const array = (PyArrayObject *)value;
    if (PyArray_Check(value) && PyArray_TYPE(array) == NUMPY_TYPE && PyArray_NDIM(array) == 2 &&
        PyArray_DIM(array, 0) == SAMPLES && PyArray_DIM(array, 1) == components &&
        (PyArray_FLAGS(array) & NPY_ARRAY_CARRAY_RO) == NPY_ARRAY_CARRAY_RO && PyArray_ISNOTSWAPPED(array))
        return PyArray_DATA(array);
    PyErr_Format(error, "%s has to be a contiguous array of shape (%ld, %d)", name, (long)SAMPLES, components);
    return NULL;
}

static PyObject *objective_new(PyTypeObject *type, PyObject *arguments, PyObject *keywords)
{
    PyObject *inputs, *labels;
    const T *X, *Y;
    (void)keywords;
    if (!PyArg_ParseTuple(arguments, "OO", &inputs, &labels) || !(X = batch(inputs, INPUTS, "X")) ||
        !(Y = batch(labels, OUTPUTS, "Y")))
        return NULL;
    Objective *const self = (Objective *)type->tp_alloc(type, 0);
    if (!self) return NULL;
    self->x = aligned(model_inputs_size());
    self->y = aligned(model_labels_size());
    self->work = aligned(model_work_size());
    if (!self->x || !self->y || !self->work) {
        Py_DECREF(self);
        return PyErr_NoMemory();
    }
    model_pack(X, Y, self->x, self->y);
    return (PyObject *)self;
}

static void objective_dealloc(PyObject *object)
{
    Objective *const self = (Objective *)object;
    PyTypeObject *const type = Py_TYPE(object);
    free(self->x);
    free(self->y);
    free(self->work);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyMethodDef methods[] = {
#ifdef HAS_GRADIENT
    {"into", (PyCFunction)(void *)objective_into, METH_FASTCALL, NULL},
#endif
    {"value", objective_value, METH_O, NULL},
#ifdef HAS_PRODUCTS
    {"hessian_product", (PyCFunction)(void *)hessian_product, METH_FASTCALL, NULL},
    {"gauss_newton_product", (PyCFunction)(void *)gauss_newton_product, METH_FASTCALL, NULL},
#endif
    {NULL, NULL, 0, NULL},
};
static PyType_Slot slots[] = {
    {Py_tp_new, objective_new},
    {Py_tp_dealloc, objective_dealloc},
    {Py_tp_methods, methods},
    {0, NULL},
};
static PyType_Spec spec = {"lagrangenet.Objective", sizeof(Objective), 0, Py_TPFLAGS_DEFAULT, slots};

/* The exception to raise, the address of xGEMM or 0, the process that may use threads (a fork of it may
 * have none that work, whichever library its parent started them for), and the address of the pool of
 * another module, or 0. Returns that of the pool that is used, or 0. */
static PyObject *configure(PyObject *module, PyObject *arguments)
{
    PyObject *address;
    int process = 0;
    unsigned long long shared = 0;
    (void)module;
    if (!PyArg_ParseTuple(arguments, "OO|iK", &error, &address, &process, &shared)) return NULL;
#if THREADS > 1
    model_process = process;
    if (shared) pool = (Pool *)(uintptr_t)shared;
    shared = (uintptr_t)pool;
#endif
    Py_INCREF(error);
    model_use_blas((Gemm *)PyLong_AsVoidPtr(address));
    if (PyErr_Occurred()) return NULL;
    return PyLong_FromUnsignedLongLong(shared);
}

static PyMethodDef functions[] = {{"configure", configure, METH_VARARGS, NULL}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "model", NULL, -1, functions, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit_model(void)
{
    import_array();
    PyObject *const module = PyModule_Create(&definition);
    PyObject *const type = PyType_FromSpec(&spec);
    if (!module || !type || PyModule_AddObjectRef(module, "Objective", type) < 0) return NULL;
    Py_DECREF(type);
    return module;
}
